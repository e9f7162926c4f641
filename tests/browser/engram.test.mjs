// Engrams in tabs: packed and unpacked in workers, made one, and shared. How busy the page is meanwhile: engram.quiet.test.mjs.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'

import { Engrams, opened } from '../lib/engrams.mjs'
import { SLOW_MS } from '../lib/wait.mjs'

/** Engrams that every machine must read and write alike; core/tests/it/engram.rs reads and writes them natively. */
const GOLDEN = join(import.meta.dirname, '../../core/tests/it/golden')

const engrams = new Engrams()
before(() => engrams.start())
after(() => engrams.close())

test('f32 and bf16 come back to the byte from every codec, in a worker, on a page of another origin', async () => {
  const tab = await engrams.openTab()
  for (const [name, bounds] of [['base', [27, 26.7]], ['bf16', [11, 10.7]]]) {
    await opened(tab, name)
    const { bytes, parameters, tensors } = await tab.run(name => ({ ...globalThis[name] }), name)
    assert.equal(bytes, engrams.files[name].length)
    assert.equal(parameters, tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0))
    const ways = [{ codec: 'fast' }, { codec: 'neural' }, { codec: 'smallest' }, { decibels: 20, layers: 2, exact: true }]
    for (const [i, way] of ways.entries()) {
      const got = await tab.run(([name, way]) => roundTrip(globalThis[name], way), [name, way], SLOW_MS)
      assert.deepEqual([got.isBack, got.isFollowed], [true, true], JSON.stringify(way))
      const bits = got.bytes * 8 / parameters
      assert.ok(bits < (bounds[i] ?? bounds[1] + 1), `${name}, ${JSON.stringify(way)}: ${bits} bits`)
    }
  }
  assert.ok(tab.requests.some(url => url.startsWith('blob:')), 'the worker comes from the page that it works for')
  await tab.close()
})

test('a browser reads the engrams that a server packs, to the bit, and packs the same bytes', async () => {
  const names = ['weights.safetensors', 'fast.engram', 'neural.engram', 'lossy.engram', 'lossy.safetensors']
  const golden = Object.fromEntries(await Promise.all(names.map(async name => [name, [...await readFile(join(GOLDEN, name))]])))
  const tab = await engrams.openTab()
  const got = await tab.run(async golden => {
    const bytes = name => new Uint8Array(golden[name])
    const reads = async (name, what, options) => isSame(await (await unpack(bytes(name), options)).safetensors(), bytes(what))
    const weights = await open(bytes('weights.safetensors'))
    const writes = async (options, name) => isSame(await weights.pack(options), bytes(name))
    return {
      fast: [await reads('fast.engram', 'weights.safetensors'), await writes({ codec: 'fast' }, 'fast.engram')],
      neural: [await reads('neural.engram', 'weights.safetensors'), await writes({ codec: 'neural' }, 'neural.engram')],
      lossy: [await reads('lossy.engram', 'lossy.safetensors', { layers: 1 }), await writes({ decibels: 20, layers: 2, exact: true }, 'lossy.engram')],
      exact: [await reads('lossy.engram', 'weights.safetensors')]
    }
  }, golden)
  assert.deepEqual(got, { fast: [true, true], neural: [true, true], lossy: [true, true], exact: [true] })
  await tab.close()
})

test('typed arrays are opened as they are, and handed over where that is asked for', async () => {
  const tab = await engrams.openTab()
  const got = await tab.run(async () => {
    const all = new Float32Array(64).map((_, i) => Math.sin(i))
    const tensors = { a: { dtype: 'f32', shape: [4, 8], data: all.subarray(0, 32) }, b: { dtype: 'f32', shape: [32], data: all.subarray(32) } }
    const copied = await open(tensors)
    const left = all.length
    const handed = await open(tensors, { transfer: true })
    const file = await handed.safetensors()
    const numbers = new Float32Array(file.slice(-256).buffer)
    return { isSame: copied.digest === handed.digest, left, after: all.length, isRight: numbers.every((n, i) => n === Math.fround(Math.sin(i))) }
  })
  assert.deepEqual(got, { isSame: true, left: 64, after: 0, isRight: true })
  await tab.close()
})

test('against a base it is smaller, and that base is needed to have it back', async () => {
  const tab = await engrams.openTab()
  await Promise.all([opened(tab, 'base'), opened(tab, 'tuned')])
  const got = await tab.run(async () => {
    const packed = await tuned.pack({ codec: 'fast', base })
    return {
      alone: await roundTrip(tuned, { codec: 'fast' }),
      with: await roundTrip(tuned, { codec: 'fast', base }),
      missing: await codeOf(unpack(packed)),
      wrong: await codeOf(unpack(packed, { base: tuned }))
    }
  }, undefined, SLOW_MS)
  assert.ok(got.with.isBack && got.with.bytes < got.alone.bytes * 0.95, `${got.with.bytes} against ${got.alone.bytes}`)
  assert.deepEqual([got.missing, got.wrong], ['ERR_MISMATCH', 'ERR_MISMATCH'])
  await tab.close()
})

test('the curve tells what each way makes, and packing keeps to it', async () => {
  const tab = await engrams.openTab()
  await opened(tab, 'base')
  const { points, heard, lossy, fast } = await tab.run(async () => {
    const heard = []
    const points = await base.curve({ onPoint: point => heard.push(point) })
    return { points, heard, lossy: (await base.pack({ decibels: 20 })).length, fast: (await base.pack({ codec: 'fast' })).length }
  }, undefined, SLOW_MS)
  assert.deepEqual(points, heard)
  const near = (point, bytes) => assert.ok(Math.abs(point.bytes / bytes - 1) < 0.05, `${point.bytes} foretold, ${bytes} made`)
  near(points.find(({ codec, decibels }) => codec === 'fast' && decibels === null), fast)
  const at = points.filter(({ codec }) => codec === 'lossy').toSorted((a, b) => Math.abs(a.decibels - 20) - Math.abs(b.decibels - 20))[0]
  near(at, lossy)
  assert.ok(lossy * 6 < fast)
  for (const codec of ['neural', 'smallest', 'int8', 'int4', 'nf4']) assert.ok(points.some(point => point.codec === codec), codec)
  await tab.close()
})

test('whatever takes long is cancelled at once, and what it was done to is there still', async () => {
  const tab = await engrams.openTab()
  await opened(tab, 'base')
  const codes = await tab.run(async () => {
    const packed = await base.pack({ codec: 'neural' })
    // Cancels at the first word of how far it is, or before it begins.
    const cancelled = async (work, isBefore = false) => {
      const stop = new AbortController()
      if (isBefore) stop.abort()
      return await codeOf(work({ signal: stop.signal, onProgress: () => stop.abort(), onPoint: () => stop.abort() }))
    }
    const codes = []
    for (const isBefore of [false, true]) {
      codes.push(
        await cancelled(how => base.pack({ codec: 'neural' }, how), isBefore),
        await cancelled(how => base.pack({ bits: 3 }, how), isBefore),
        await cancelled(how => base.curve(how), isBefore),
        await cancelled(how => unpack(packed, how), isBefore))
    }
    codes.push(await cancelled(how => open(new Uint8Array(100), how), true))
    const { isBack } = await roundTrip(base, { codec: 'fast' })
    return [...codes, isBack]
  }, undefined, SLOW_MS)
  assert.deepEqual(codes, [...Array(9).fill('ERR_ABORTED'), true])
  await tab.close()
})

test('what goes wrong has a code, and the message names the tensor', async () => {
  const tab = await engrams.openTab()
  await opened(tab, 'base')
  const got = await tab.run(async () => {
    const packed = await base.pack({ codec: 'fast' })
    const changed = packed.slice()
    changed[changed.length - 1] ^= 1
    const closed = await open({ a: { dtype: 'u8', shape: [2], data: new Uint8Array(2) } })
    closed.close()
    const message = await unpack(changed).catch(error => error.message)
    return {
      message,
      codes: [
        await codeOf(open(new Uint8Array([1, 2, 3]))),
        await codeOf(open(new TextEncoder().encode('no safetensors file at all'))),
        await codeOf(unpack(changed)),
        await codeOf(unpack(packed.slice(0, -5))),
        await codeOf(base.pack({ codec: 'zip' })),
        await codeOf(base.pack({ codec: 'fast', bits: 4 })),
        await codeOf(base.pack({ bits: -1 })),
        await codeOf(base.pack({ bits: 4, layers: 7 })),
        await codeOf(open(7)),
        await codeOf(closed.pack()),
        await codeOf(integrate(base, await closedFile()))
      ]
    }

    async function closedFile () {
      const other = await open({ other: { dtype: 'f32', shape: [1], data: new Float32Array(1) } })
      return await other.safetensors()
    }
  }, undefined, SLOW_MS)
  assert.match(got.message, /^tensor "/)
  assert.deepEqual(got.codes, [
    'ERR_DAMAGED', 'ERR_DAMAGED', 'ERR_DAMAGED', 'ERR_DAMAGED', 'ERR_INVALID_ARGUMENT', 'ERR_INVALID_ARGUMENT',
    'ERR_INVALID_ARGUMENT', 'ERR_INVALID_ARGUMENT', 'ERR_INVALID_ARGUMENT', 'ERR_CLOSED', 'ERR_MISMATCH'
  ])
  await tab.close()
})

test('several engrams become one, and without a measurement their size decides', async () => {
  const tab = await engrams.openTab()
  const got = await tab.run(async () => {
    const file = async (...data) => {
      const engram = await open({ w: { dtype: 'f32', shape: [data.length], data: new Float32Array(data) } })
      return [engram, await engram.safetensors()]
    }
    const numbers = async integration => [...new Float32Array((await (await integration.model()).safetensors()).slice(-12).buffer)]
    const [model] = await file(1, 2, 3)
    const [, one] = await file(1.5, 2, 3)
    const [, two] = await file(1.25, 2, 4)
    const [, far] = await file(100, 200, 300)
    const both = [{ bytes: one, cid: 'one', weight: 3 }, { bytes: two, cid: 'two' }]
    const merged = await integrate(model, both, { resolution: 'mean' })
    const other = await integrate(model, both.toReversed(), { resolution: 'mean' })
    const refused = await integrate(model, far)
    for (const integration of [merged, other, refused]) await integration.run()
    const odd = await integrate(model, one, { evaluate: () => 'good' })
    const [, small] = await file(0.5, 0, -1)
    const alone = await integrate(model, small, { isDelta: true, transfer: true, resolution: { tiesOf: { keep: 0.5 } } })
    await alone.run()
    return {
      merged: await numbers(merged), other: await numbers(other), refused: [refused.step, await numbers(refused)],
      events: merged.trail.map(({ event }) => event).slice(0, 3), cids: merged.trail[0].cids, metric: merged.curve[0].metric,
      odd: await codeOf(odd.run()), delta: [await numbers(alone), small.length], unknown: await codeOf(integrate(model, one, { most: 1 })), none: await codeOf(integrate(model, []))
    }
  })
  // (3 × 0.5 + 0.25) / 4, and 1 / 4.
  assert.deepEqual(got.merged, [1.4375, 2, 3.25])
  assert.deepEqual(got.other, got.merged)
  assert.deepEqual(got.refused, ['rolled-back', [1, 2, 3]])
  assert.deepEqual([got.events, got.cids, got.metric], [['validated', 'resolved', 'assessed'], ['one', 'two'], null])
  assert.deepEqual(got.delta, [[1.5, 2, 2], 0])
  assert.deepEqual([got.odd, got.unknown, got.none], ['ERR_INVALID_ARGUMENT', 'ERR_INVALID_ARGUMENT', 'ERR_INVALID_ARGUMENT'])
  await tab.close()
})

test('names of tensors and metadata leave without what must not, and one that is too large says what would fit', async () => {
  const tab = await engrams.joinedTab()
  await opened(tab, 'three')
  const got = await tab.run(async () => {
    const encode = text => new TextEncoder().encode(text)
    const json = JSON.stringify({
      __metadata__: { trainer: 'ada.lovelace@example.org' },
      10: { dtype: 'F32', shape: [2], data_offsets: [0, 8] },
      'ada.lovelace@example.org/w': { dtype: 'F32', shape: [1], data_offsets: [8, 12] }
    })
    const file = new Uint8Array(8 + json.length + 12)
    new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true)
    file.set(encode(json), 8)
    file.set(new Uint8Array(new Float32Array([1, 2, 3]).buffer), 8 + json.length)
    const named = await open(file)
    const [{ cid }] = await peer.shareEngram(named, 'everybody', { codec: 'fast' })
    const back = await unpack((await peer.get(cid)).content)
    const plain = await open({ w: { dtype: 'f32', shape: [2], data: new Float32Array(2) } })
    const [untouched] = await peer.shareEngram(plain, ['everybody'], { codec: 'fast' })
    const same = await unpack((await peer.get(untouched.cid)).content)
    const large = await peer.shareEngram(three, ['everybody'], { codec: 'fast' }).catch(error => error)
    return {
      tensors: back.tensors.map(({ name }) => name), metadata: back.metadata, numbers: [...new Float32Array((await back.safetensors()).slice(-12).buffer)],
      isUntouched: same.digest === plain.digest, large: [large.code, large.message], mine: named.tensors.map(({ name }) => name)
    }
  }, undefined, SLOW_MS)
  assert.deepEqual(got.mine, ['10', 'ada.lovelace@example.org/w'])
  assert.equal(got.tensors[0], '10')
  assert.equal(got.tensors.length, 2)
  assert.ok(!JSON.stringify([got.tensors, got.metadata]).includes('ada.lovelace'), JSON.stringify([got.tensors, got.metadata]))
  assert.deepEqual(got.numbers, [1, 2, 3])
  assert.equal(got.isUntouched, true)
  assert.equal(got.large[0], 'ERR_TOO_LARGE')
  assert.match(got.large[1], /has \d+\.\d MB, at most 10 MB can be shared; \d+\.\d+ bits per number would fit/)
  await tab.close()
})
