// What is done ahead: what the first share needs is fetched, so that it works when the relay is gone, but not where a visitor
// saves data; and the relay is greeted while the wasm is on its way.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { content } from '../lib/bytes.mjs'
import { Tab, launch } from '../lib/chromium.mjs'
import { Dashboard, openMesh } from '../lib/dashboard.mjs'
import { Relay } from '../lib/relay.mjs'

const MODULE = 'chorus_privacy_bg.wasm'

let browser
let relay
before(async () => { [browser, relay] = await Promise.all([launch(), Relay.start()]) })
after(async () => {
  await browser?.close()
  await relay?.close()
})

/** Resolves once the page has fetched the whole of `file`. */
const arrived = ({ tab }, file) => tab.run(file => new Promise(resolve => {
  const look = list => list.getEntries().some(entry => entry.name.endsWith(file) && entry.responseEnd > 0) && resolve()
  new PerformanceObserver(look).observe({ type: 'resource', buffered: true })
}), file, 60_000, `${file} is fetched`)

test('a file is shared for the first time, searched and asked about as ever, while the relay is gone', async () => {
  const tabs = await openMesh(browser, relay, [{}, {}])
  const [one, two] = tabs
  for (const file of ['dialog.js', 'dialog.css', 'chorus_privacy.js', MODULE]) await arrived(one, file)
  await relay.kill()
  const cid = await one.offer('for ada@example.org.txt', content(300_000, 31))
  const dialog = one.page.locator('dialog.ask')
  assert.equal(await dialog.locator('h2').innerText(), 'Share “for [email].txt”?')
  assert.equal(await dialog.evaluate(dialog => getComputedStyle(dialog).paddingTop), '0px', 'it is styled')
  await one.answer('yes')
  assert.deepEqual(new Uint8Array(await two.fetch(cid)), new Uint8Array(content(300_000, 31)))
  await relay.start()
  for (const tab of tabs) await tab.close()
})

test('who saves data fetches nothing ahead, and shares all the same', async () => {
  const saving = new Dashboard()
  saving.tab = await Tab.open(browser)
  await saving.page.addInitScript(() => {
    Object.defineProperty(navigator, 'connection', { value: Object.assign(new EventTarget(), { saveData: true }) })
  })
  await saving.page.goto(`${relay.http}/?train=off`)
  await saving.up()
  const other = await Dashboard.open(browser, relay)
  await Promise.all([saving.waitPeer(other, 'direct'), other.waitPeer(saving, 'direct')])
  // The other one, which came later, has fetched it: this one would have, too.
  await arrived(other, MODULE)
  await saving.tab.run(() => new Promise(resolve => requestIdleCallback(() => resolve())))
  assert.ok(!saving.tab.requests.some(url => url.endsWith(MODULE)), saving.tab.requests.join(' '))
  const cid = await saving.share('note.bin', content(100, 32))
  assert.deepEqual(new Uint8Array(await other.fetch(cid)), new Uint8Array(content(100, 32)))
  for (const tab of [saving, other]) await tab.close()
})

test('the socket to the relay is open before the wasm is there, and is the only one', async () => {
  const [early, other] = [new Dashboard(), await Dashboard.open(browser, relay)]
  early.tab = await Tab.open(browser)
  const sockets = []
  const opened = new Promise(resolve => early.page.on('websocket', socket => {
    sockets.push(socket.url())
    resolve()
  }))
  await early.page.route('**/chorus_web_bg.wasm', async route => {
    // The page gets its wasm only when there is a socket.
    await opened
    await route.continue()
  })
  await early.page.goto(`${relay.http}/?train=off`)
  await early.up()
  await Promise.all([early.waitPeer(other, 'direct'), other.waitPeer(early, 'direct')])
  assert.equal(sockets.length, 1, sockets.join(' '))
  for (const tab of [early, other]) await tab.close()
})
