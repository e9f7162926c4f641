// Models of megabytes in tabs that stay responsive: opened, packed, shared, and let into another tab's model and out again.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { Engrams } from '../lib/engrams.mjs'
import { Tasks, checkLongest } from '../lib/tasks.mjs'
import { SLOW_MS } from '../lib/wait.mjs'

const engrams = new Engrams()
before(() => engrams.start())
after(() => engrams.close())

test('the page is not blocked while a model of over 20 MB is opened, looked at, packed and unpacked', async t => {
  assert.ok(engrams.files.three.length > 20e6)
  const tab = await engrams.openTab()
  let tasks = await Tasks.watch(engrams.browser, { tab })
  const isBack = await tab.run(async () => {
    const engram = await open(await blob('three'))
    await engram.curve()
    const packed = [await engram.pack({ codec: 'fast' }), await engram.pack({ decibels: 25, exact: true })]
    const back = await Promise.all(packed.map(packed => unpack(packed, { transfer: true })))
    return back.every(back => back.digest === engram.digest)
  }, undefined, SLOW_MS)
  assert.ok(isBack)
  checkLongest(await tasks.longest(), t)
  // That a task is seen at all.
  tasks = await Tasks.watch(engrams.browser, { tab })
  await tab.run(() => new Promise(resolve => setTimeout(() => {
    const end = performance.now() + 150
    while (performance.now() < end) { /* busy */ }
    resolve()
  })))
  const { ms, clock, steps } = (await tasks.longest()).tab
  assert.ok(clock >= 140 && ms > 0 && ms < clock + 1 && steps.length > 0, `${ms} ms of ${clock} ms: ${steps}`)
  await tab.close()
})

test('an engram that one tab shares is let into the model of another, step by step, and undone to the byte', async t => {
  const [one, two] = await Promise.all([engrams.joinedTab(), engrams.joinedTab()])
  await two.run(() => peer.receiveSealed())
  const tasks = await Tasks.watch(engrams.browser, { one, two })
  const nobody = '12D3KooWQnwEGNqcM2nAcPtRR9rAX8Hrg4k9kJLCHoTR5chJfz6d'
  const results = await one.run(async targets => {
    const engram = await open(await blob('threeTuned'))
    globalThis.shared = engram
    return await peer.shareEngram(engram, targets, { decibels: 30, name: 'tuned.engram' })
  }, ['everybody', two.id, nobody], SLOW_MS)
  assert.deepEqual(results.map(({ target }) => target), ['everybody', two.id, nobody])
  assert.equal(results[2].error.code, 'ERR_NO_KEY')
  assert.match(results[2].error.message, /./)

  const got = await two.run(async ([cid, sealed]) => {
    const model = await open(await blob('three'))
    const packet = await peer.get(cid)
    const opened = await peer.open(sealed)
    const steps = []
    // The nearer a model is to the tuned one, the better it is: distance stands for the loss on examples.
    const target = new Float32Array((await (await blob('threeTuned')).arrayBuffer()).slice(-400_000))
    const evaluate = async engram => {
      const own = new Float32Array((await engram.safetensors()).slice(-400_000).buffer)
      return 1 - Math.sqrt(own.reduce((sum, value, i) => sum + (value - target[i]) ** 2, 0) / target.reduce((sum, value) => sum + value ** 2, 0))
    }
    const integration = await integrate(model, packet.content, { cid, evaluate, onStep: ({ step, alpha }) => steps.push([step, alpha]) })
    await integration.run()
    const { step, alpha, curve } = integration
    const blended = await integration.model()
    await integration.undo()
    const after = await integration.model()
    return {
      type: packet.type, quality: packet.quality_metrics, sealed: [opened.type, await digestOf(opened.content) === await digestOf(packet.content)],
      step, alpha, curve, steps, trail: integration.trail, isBlended: blended.digest !== model.digest,
      isUndone: after.digest === model.digest && await digestOf(await after.safetensors()) === await digestOf(await model.safetensors())
    }
  }, results.slice(0, 2).map(({ cid }) => cid), SLOW_MS)
  assert.deepEqual([got.type, got.sealed], ['engram', ['engram', true]])
  const { bits_per_number: bits, snr_db: decibels, parameters } = got.quality
  assert.ok(decibels >= 30 && decibels < 31 && bits > 3 && bits < 8, JSON.stringify(got.quality))
  assert.equal(parameters, await one.run(() => shared.parameters))
  assert.deepEqual([got.step, got.alpha], ['monitor', 1])
  assert.ok(got.curve.every(({ metric }, i) => i === 0 || metric > got.curve[i - 1].metric), JSON.stringify(got.curve))
  assert.deepEqual(got.steps.map(([step]) => step).filter((step, i, all) => step !== all[i - 1]), ['assess', 'blend', 'monitor', 'rolled-back'])
  assert.deepEqual(got.trail.map(({ event }) => event).filter((event, i, all) => event !== all[i - 1]), ['validated', 'assessed', 'blended', 'settled', 'rolled-back'])
  assert.ok(got.trail.every(({ cids }) => cids.length === 1 && cids[0] === results[0].cid))
  assert.deepEqual([got.isBlended, got.isUndone], [true, true])
  checkLongest(await tasks.longest(), t)
  await Promise.all([one.close(), two.close()])
})

test('the page is not blocked while nearly as much as may be shared is searched, sealed, signed, shared, fetched and opened', async t => {
  const [one, two] = await Promise.all([engrams.joinedTab(), engrams.joinedTab()])
  await two.run(() => peer.receiveSealed())
  const tasks = await Tasks.watch(engrams.browser, { one, two })
  const cids = await one.run(async reader => {
    const content = (await (await blob('three')).arrayBuffer()).slice(-9_900_000)
    globalThis.content = new Uint8Array(content)
    return [await peer.share({ type: 'file', content }), await peer.share({ type: 'file', content, recipients: [reader] })]
  }, two.id, SLOW_MS)
  const digests = await two.run(async ([cid, sealed]) => {
    const both = [await peer.get(cid), await peer.open(sealed)]
    return await Promise.all(both.map(({ content }) => digestOf(content)))
  }, cids, SLOW_MS)
  const digest = await one.run(() => digestOf(content))
  assert.deepEqual(digests, [digest, digest])
  checkLongest(await tasks.longest(), t)
  await Promise.all([one.close(), two.close()])
})
