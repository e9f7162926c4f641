// A peer that sends garbage on every protocol, to a tab and to the relay: both go on, and so do the others.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { bundle } from '../lib/bundle.mjs'
import { Tab, launch } from '../lib/chromium.mjs'
import { openMesh } from '../lib/dashboard.mjs'
import { Relay, cli } from '../lib/relay.mjs'
import { html, js, serve } from '../lib/serve.mjs'

const PROTOCOLS = [
  '/chorus/main/block/1.0.0', '/chorus/main/kad/1.0.0', '/meshsub/1.1.0', '/webrtc-signaling/0.0.1',
  '/ipfs/id/1.0.0', '/ipfs/id/push/1.0.0', '/ipfs/ping/1.0.0',
  '/libp2p/circuit/relay/0.2.0/hop', '/libp2p/circuit/relay/0.2.0/stop'
]

let browser
let relay
let site
before(async () => {
  relay = await Relay.start()
  browser = await launch()
  site = await serve({ '/': html('/attack.mjs'), '/attack.mjs': js(await bundle('lib/js/attack.mjs')) })
})
after(async () => {
  await browser?.close()
  await site?.close()
  await relay?.close()
})

async function openAttacker () {
  const tab = await Tab.open(browser)
  await tab.page.goto(`${site.origin}/?relay=${encodeURIComponent(relay.ws)}`)
  await tab.until(() => document.body?.dataset.ready, null, 30_000, 'the attacker is ready')
  return tab
}

test('garbage on every protocol leaves the relay and the tabs as they were', async () => {
  const tabs = await openMesh(browser, relay, [{ storage: 'memory' }, { storage: 'memory' }])
  const attacker = await openAttacker()
  await attacker.run(addr => globalThis.attacker.dial(addr), `${relay.ws}/p2p-circuit/webrtc/p2p/${tabs[0].id}`, 30_000, 'the attacker reaches the tab')

  for (const victim of [relay.peerId, tabs[0].id]) {
    const ends = await attacker.run(([victim, protocols]) => globalThis.attacker.attack(victim, protocols), [victim, PROTOCOLS], 120_000, 'the attack')
    assert.ok(ends.opened > 20, JSON.stringify(ends))
  }

  assert.equal((await fetch(`${relay.http}/healthz`)).status, 200)
  await tabs[0].waitPeer(tabs[1], 'direct')
  const bytes = new TextEncoder().encode('after the attack')
  const cid = await tabs[0].share('after.txt', bytes)
  assert.deepEqual(new Uint8Array(await tabs[1].fetch(cid)), bytes)
  assert.match(await cli(['query', '--relay', relay.http, '--json']), new RegExp(cid))
  for (const tab of tabs) await tab.close()
  await attacker.page.close()
})

test('a network of another name shares nothing with this one', async () => {
  const other = await Relay.start({ args: ['--network', 'elsewhere', '--bootstrap', relay.ws] })
  try {
    const tabs = await openMesh(browser, relay, [{ storage: 'memory' }, { storage: 'memory' }])
    const [stranger] = await openMesh(browser, other, [{ storage: 'memory' }])
    const cid = await tabs[0].share('ours.txt', new TextEncoder().encode('ours'))
    await tabs[1].fetch(cid)
    const seen = await stranger.tab.run(() => [...document.querySelectorAll('[data-cid]')].map(row => row.dataset.cid))
    assert.ok(!seen.includes(cid))
    assert.equal(await stranger.tab.run(() => document.querySelector('[data-peer-id]').dataset.peers), '0')
    for (const tab of [...tabs, stranger]) await tab.close()
  } finally {
    await other.close()
  }
})
