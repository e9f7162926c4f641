// Real weights for the tests of engrams: a transformer and two fine-tunings of it, as safetensors files. Where they are not at
// hand (a clone that stands alone), numbers that are drawn like them, and a note that says so.

import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'

/** The folder with `transformer.safetensors`, `delta-0.safetensors` and `delta-1.safetensors`; the same as for `cargo xtask bench engram`. */
const FOLDER = resolve(process.env.CHORUS_WEIGHTS ?? join(import.meta.dirname, '../../../shared/data/engram'))

const NAMES = ['transformer', 'delta-0', 'delta-1']

/** Reads a file to its tensors: name → { shape, values }. */
async function read (name) {
  const path = join(FOLDER, `${name}.safetensors`)
  const bytes = await readFile(path)
  const length = Number(bytes.readBigUInt64LE(0))
  const { __metadata__: _, ...header } = JSON.parse(bytes.toString('utf8', 8, 8 + length))
  return new Map(Object.entries(header).map(([tensor, { shape, data_offsets: [from, to] }]) => {
    const data = bytes.subarray(8 + length + from, 8 + length + to)
    return [tensor, { shape, values: new Float32Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.length)) }]
  }))
}

/** Draws what stands for the file `name`: normal numbers, each tensor with a deviation of its own. Always the same. */
function drawn (name) {
  let state = 1 + NAMES.indexOf(name)
  const uniform = () => {
    state = Math.imul(state ^ state >>> 15, 0x2c1b3c6d) + 0x9e3779b9 | 0
    return ((state ^ state >>> 13) >>> 0) / 2 ** 32
  }
  const size = name === NAMES[0] ? 0.05 : 0.008
  return new Map(Array.from({ length: 12 }, (_, at) => {
    const normal = () => (uniform() + uniform() + uniform() + uniform() + uniform() + uniform() - 3) * Math.SQRT2
    return [`layer${at}.weight`, { shape: [384, 384], values: Float32Array.from({ length: 384 * 384 }, () => normal() * size * (1 + at / 4)) }]
  }))
}

/** Writes tensors of f32, or of bf16, as a file. */
function write (tensors, dtype = 'F32') {
  const header = {}
  const parts = []
  let offset = 0
  for (const [name, { shape, values }] of tensors) {
    const data = dtype === 'F32' ? Buffer.from(values.buffer) : rounded(values)
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.length] }
    parts.push(data)
    offset += data.length
  }
  const json = Buffer.from(JSON.stringify(header))
  const padded = Buffer.concat([json, Buffer.alloc((8 - json.length % 8) % 8, ' ')])
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(padded.length))
  return Buffer.concat([length, padded, ...parts])
}

/** Rounds to bf16, to the nearest, ties to even. */
function rounded (values) {
  const words = new Uint32Array(values.buffer)
  const shorts = Uint16Array.from(words, word => (word + 0x7fff + (word >>> 16 & 1)) / 0x10000)
  return Buffer.from(shorts.buffer)
}

const sum = (base, delta) => new Map([...base].map(([name, { shape, values }]) => {
  const change = delta.get(name)?.values
  return [name, { shape, values: change ? values.map((value, i) => value + change[i]) : values }]
}))

const named = (prefix, tensors) => [...tensors].map(([name, tensor]) => [`${prefix}.${name}`, tensor])

/**
 * Files of one transformer and of what became of it.
 *
 * @returns {Promise<{ base: Buffer, tuned: Buffer, bf16: Buffer, three: Buffer, threeTuned: Buffer }>} `three` is one model of
 * more than 20 MB: the transformer and both fine-tunings as its parts. `threeTuned` is the same tuned further.
 */
export async function weights () {
  const [base, zero, one] = await Promise.all(NAMES.map(read)).catch(error => {
    if (error.code !== 'ENOENT') throw error
    console.log(`# ${error.path} is missing (CHORUS_WEIGHTS names another folder): these are no real weights`)
    return NAMES.map(drawn)
  })
  const [first, second] = [sum(base, zero), sum(base, one)]
  const three = [base, first, second]
  const further = [first, sum(first, one), sum(second, zero)]
  const all = parts => write(parts.flatMap((tensors, i) => named(`part${i}`, tensors)))
  return { base: write(base), tuned: write(first), bf16: write(base, 'BF16'), three: all(three), threeTuned: all(further) }
}
