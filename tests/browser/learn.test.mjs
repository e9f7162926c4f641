// Tabs that each hold some of the digit classes learn all ten from each other over direct connections.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'

import { launch } from '../lib/chromium.mjs'
import { openMesh } from '../lib/dashboard.mjs'
import { Relay } from '../lib/relay.mjs'

/** Two or three classes each, ten in all. */
const CLASSES = ['0,1', '2,3,4', '5,6', '7,8,9']
const MOST_EXCHANGES = 60
/** Bytes that circuits may carry while weights travel: pings and identify. Ten exchanges of four tabs are 74 kB. */
const MOST_CIRCUIT_BYTES = 64 * 1024

/** Bytes of the model's 4810 parameters as plain singles. */
const PLAIN_BYTES = 4810 * 4

/** What the list of what left says of the learner: `{ count, bytes }`, packets and their contents. */
async function shared ({ tab, page }) {
  await page.locator('[data-action="ledger"]').click()
  const download = page.waitForEvent('download')
  await page.locator('dialog.ask [data-answer="export"]').click()
  const { entries } = JSON.parse(await readFile(await (await download).path(), 'utf8'))
  await page.locator('dialog.ask [data-answer="no"]').click()
  tab.check()
  return entries.find(({ packet_type: type }) => type === 'weights')
}

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
  for (const tab of tabs) {
    const { count, bytes } = await shared(tab)
    assert.ok(count > 0 && bytes * 30 <= count * PLAIN_BYTES, `${bytes} bytes left in ${count} packets of ${tab.id}`)
  }

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
  // A packet of over 500 bytes for each exchange of each tab, at the least; plain weights would be 19,240.
  const updates = learned.reduce((sum, { exchanges }) => sum + exchanges, 0) * 500
  const circuit = await relay.circuitBytes() - circuitBefore
  assert.ok(direct > updates, `${direct} bytes over direct connections, ${updates} of updates`)
  assert.ok(circuit < MOST_CIRCUIT_BYTES, `${circuit} bytes over circuits while ${direct} went directly`)
  for (const tab of tabs) await tab.close()
})

test('four tabs that choose for themselves come to hold all ten digits, and pass 90 % together', async () => {
  const tabs = await openMesh(browser, relay, Array(4).fill({ train: 'on', storage: 'memory' }))
  await Promise.all(tabs.map(tab => tab.holders(all => all.every(holder => holder === 'mine' || holder === 'others'))))
  const learned = await Promise.all(tabs.map(tab => tab.learned(0.9, 2 * MOST_EXCHANGES, 120_000)))
  const held = await Promise.all(tabs.map(tab => tab.classes()))
  assert.equal(new Set(held.flat()).size, 10, held.join(' '))
  learned.forEach(({ exchanges, accuracy, alone }, k) => {
    assert.ok(held[k].length <= 3, `tab ${k} holds ${held[k]}`)
    assert.ok(accuracy > 0.9, `tab ${k} with ${held[k]}: ${accuracy} after ${exchanges} exchanges`)
    assert.ok(alone > 0 && alone < 0.4, `tab ${k} with ${held[k]}: ${alone} alone`)
  })
  for (const tab of tabs) await tab.close()
})

test('tabs keep the digits that they are given, and say which nobody holds', async () => {
  const tabs = await openMesh(browser, relay, Array(2).fill({ classes: '0,1,7', train: 'on', storage: 'memory' }))
  await Promise.all(tabs.map(tab => tab.exchanges(12)))
  const expected = Array.from({ length: 10 }, (_, digit) => [0, 1, 7].includes(digit) ? 'mine' : 'nobody')
  for (const tab of tabs) {
    assert.deepEqual(await tab.holders(() => true), expected)
    const panel = await tab.page.locator('.learn').innerText()
    assert.match(panel, /Nobody here holds 2, 3, 4, 5, 6, 8 and 9, so reading stops near 30\s%\./)
    assert.match(await tab.page.locator('[data-digit="2"][data-holder]').textContent(), /^2: nobody here$/)
    await tab.close()
  }
})
