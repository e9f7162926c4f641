// Four tabs, each with some of the digit classes, learn all ten from each other over direct connections.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { launch } from '../lib/chromium.mjs'
import { openMesh } from '../lib/dashboard.mjs'
import { Relay } from '../lib/relay.mjs'

/** Two or three classes each, ten in all. */
const CLASSES = ['0,1', '2,3,4', '5,6', '7,8,9']
const MOST_EXCHANGES = 60
/** Bytes that circuits may carry while weights travel: pings and identify. One exchange of four tabs is 230 kB. */
const MOST_CIRCUIT_BYTES = 64 * 1024

let browser
let relay
before(async () => {
  [browser, relay] = await Promise.all([launch(), Relay.start()])
})
after(async () => {
  await browser?.close()
  await relay?.close()
})

test('four tabs with two or three digit classes each pass 90 % together, over direct connections', async () => {
  const tabs = await openMesh(browser, relay, CLASSES.map(classes => ({ classes, train: 'on', storage: 'memory' })))
  const circuitBefore = await relay.circuitBytes()

  const learned = await Promise.all(tabs.map(tab => tab.learned(0.9, MOST_EXCHANGES, 120_000)))
  learned.forEach(({ exchanges, accuracy, alone }, k) => {
    assert.ok(alone > 0 && alone < 0.4, `tab ${k} with ${CLASSES[k]}: ${alone} alone`)
    assert.ok(accuracy > 0.9, `tab ${k} with ${CLASSES[k]}: ${accuracy} after ${exchanges} exchanges`)
    assert.ok(exchanges > 0 && exchanges <= MOST_EXCHANGES, `tab ${k}: ${exchanges} exchanges`)
  })

  let direct = 0
  for (const tab of tabs) {
    const connections = (await tab.tab.connections()).filter(connection => connection.state === 'connected')
    assert.ok(connections.length >= tabs.length - 1, `${connections.length} connections of ${tab.id}`)
    for (const connection of connections) {
      assert.ok(connection.selected, 'a candidate pair is selected')
      assert.notEqual(connection.local, 'relay')
      assert.notEqual(connection.remote, 'relay')
      direct += connection.bytesReceived
    }
  }
  // 4810 parameters of 4 bytes for each exchange of each tab, at the least.
  const weights = learned.reduce((sum, { exchanges }) => sum + exchanges, 0) * 4810 * 4
  const circuit = await relay.circuitBytes() - circuitBefore
  assert.ok(direct > weights, `${direct} bytes over direct connections, ${weights} of weights`)
  assert.ok(circuit < MOST_CIRCUIT_BYTES, `${circuit} bytes over circuits while ${direct} went directly`)
  for (const tab of tabs) await tab.close()
})
