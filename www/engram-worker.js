// The worker of one engram, or of one integration: holds it in the memory of the wasm and does what is slow. engram.js
// starts it, with the compiled wasm, and ends it; then its memory is free.
//
// In: `{ id, method, args }`, `{ abort: id }`. Out: `{ id, value }`, `{ id, error: { code, message } }`, `{ id, progress }`.

import { Given, Session, Weights, initSync, packLossy, unpack } from './chorus_engram.js'

let weights
let session
/** Ids of calls that nobody waits for any more. */
const aborted = new Set()

const methods = {
  start: (_, module) => { initSync({ module }) },

  async open (_, parts) {
    weights = new Weights(await Promise.all(parts.map(bytesOf)))
    return JSON.parse(weights.info())
  },

  async unpack (id, packed, base, layers) {
    weights = unpack(await bytesOf(packed), base, layers, progress => post({ id, progress }))
    return JSON.parse(weights.info())
  },

  safetensors: () => weights.bytes(),
  names: () => weights.names(),
  renamed: (_, names) => weights.renamed(names),

  async pack (id, codec, base) {
    const packer = weights.pack(codec, base)
    try {
      for (let progress = 0; progress < 1;) {
        progress = packer.step(STEP)
        post({ id, progress })
        await turn(id)
      }
    } catch (error) {
      packer.free()
      throw error
    }
    return packer.finish()
  },

  packLossy (id, file, base, wanted) {
    const packed = packLossy(file, base, JSON.stringify(wanted), progress => post({ id, progress }))
    const { decibels } = packed
    const bytes = packed.bytes()
    packed.free()
    return { bytes, decibels }
  },

  async curve (id, base) {
    const curve = weights.curve(base)
    try {
      const all = []
      for (let points; (points = JSON.parse(curve.points())).length > 0;) {
        all.push(...points)
        for (const progress of points) post({ id, progress })
        await turn(id)
      }
      return all
    } finally {
      curve.free()
    }
  },

  async integrate (_, model, engrams, options) {
    const given = new Given()
    for (const { bytes, cid, weight } of engrams) given.add(await bytesOf(bytes), cid, weight)
    session = new Session(model, given, JSON.stringify(options))
    return state()
  },

  assess (_, before, after) {
    session.assess(before, after)
    return state()
  },

  measured (_, metric) {
    session.measured(metric)
    return state()
  },

  undo () {
    session.undo()
    return state()
  },

  now: () => session.now(),
  shadow: () => session.shadow()
}

addEventListener('message', async ({ data: { id, method, args, abort } }) => {
  if (abort !== undefined) return aborted.add(abort)
  try {
    const value = await methods[method](id, ...args)
    // What has a buffer of its own goes without a copy.
    const bytes = value?.bytes ?? value
    post({ id, value }, ArrayBuffer.isView(bytes) ? [bytes.buffer] : [])
  } catch (error) {
    // After a trap the memory means nothing: engram.js ends the worker.
    const isTrap = error instanceof WebAssembly.RuntimeError
    const message = isTrap ? `more memory than a wasm may have, or a defect: ${error.message}` : String(error?.message ?? error)
    post({ id, isTrap, error: { code: error?.code ?? 'ERR_UNKNOWN', message } })
  } finally {
    aborted.delete(id)
  }
})

function post (message, transfer = []) { globalThis.postMessage(message, { transfer }) }

const state = () => JSON.parse(session.state())

async function bytesOf (content) {
  return content instanceof Blob ? new Uint8Array(await content.arrayBuffer()) : content
}

const waiting = []
const { port1, port2 } = new MessageChannel()
port1.onmessage = () => waiting.shift()()

/** Lets messages in, one of which may end the call `id`. */
async function turn (id) {
  await new Promise(resolve => {
    waiting.push(resolve)
    port2.postMessage(0)
  })
  if (aborted.has(id)) throw Object.assign(new Error('it was cancelled'), { code: 'ERR_ABORTED' })
}

/** Bytes that are packed between two turns. Guess: a tenth of a second of the slowest codec. */
const STEP = 1 << 20
