// Where WebRTC cannot connect, and where Chromium no longer lets a page change its SDP.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { launch } from '../lib/chromium.mjs'
import { openMesh } from '../lib/dashboard.mjs'
import { Relay } from '../lib/relay.mjs'

let relay
before(async () => { relay = await Relay.start() })
after(() => relay?.close())

test('without candidates the peers stay connected by circuit, the page says so, and small packets flow', async () => {
  const browser = await launch()
  try {
    const tabs = await openMesh(browser, relay, [{ ice: 'none', storage: 'memory' }, { ice: 'none', storage: 'memory' }], 'relayed')
    assert.match(await tabs[0].rowText(tabs[1]), /relayed/i)
    assert.ok((await tabs[0].tab.connections()).every(connection => !connection.selected))
    const bytes = new TextEncoder().encode('small')
    const cid = await tabs[0].share('small.txt', bytes)
    assert.deepEqual(new Uint8Array(await tabs[1].fetch(cid)), bytes)
    // Still there afterwards: a failed upgrade does not take the circuit with it.
    await tabs[0].waitPeer(tabs[1], 'relayed')
    for (const tab of tabs) await tab.close()
  } finally {
    await browser.close()
  }
})

test('joining works in a Chromium that refuses to change the ICE ufrag', async () => {
  const browser = await launch(['--force-fieldtrials=WebRTC-NoSdpMangleUfrag/Enabled/'])
  try {
    const tabs = await openMesh(browser, relay, [{ storage: 'memory' }, { storage: 'memory' }])
    for (const tab of tabs) await tab.close()
  } finally {
    await browser.close()
  }
})
