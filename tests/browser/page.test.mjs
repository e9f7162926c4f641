// The page itself: only its own origin, a strict policy, phone and desktop width, the keyboard, the drawing pad.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { launch } from '../lib/chromium.mjs'
import { Dashboard } from '../lib/dashboard.mjs'
import { Relay } from '../lib/relay.mjs'

let browser
let relay
before(async () => {
  [browser, relay] = await Promise.all([launch(), Relay.start()])
})
after(async () => {
  await browser?.close()
  await relay?.close()
})

test('the page asks nobody but its relay, under a policy that allows no inline script', async () => {
  const tab = await Dashboard.open(browser, relay)
  const response = await fetch(`${relay.http}/`)
  const policy = response.headers.get('content-security-policy') ?? ''
  assert.match(policy, /'wasm-unsafe-eval'/)
  assert.doesNotMatch(policy, /'unsafe-(inline|eval)'/)
  const foreign = tab.tab.requests.filter(url => !url.startsWith('blob:') && !url.startsWith('data:') && new URL(url).origin !== relay.http)
  assert.deepEqual(foreign, [])
  await tab.close()
})

test('the page fits a phone and a desktop, and names itself to assistive technology', async () => {
  for (const [width, height] of [[360, 740], [1280, 800]]) {
    const tab = await Dashboard.open(browser, relay, { storage: 'memory' }, { context: { viewport: { width, height } } })
    const [content, shown] = await tab.tab.run(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth])
    assert.ok(content <= shown, `${content} px of content at ${shown} px`)
    const unnamed = await tab.tab.run(() => [...document.querySelectorAll('button, a[href], input, canvas')]
      .filter(element => !(element.innerText || element.textContent || element.ariaLabel || element.labels?.length || element.getAttribute('aria-labelledby') || element.title))
      .map(element => element.outerHTML.slice(0, 120)))
    assert.deepEqual(unnamed, [])
    assert.equal(await tab.tab.run(() => document.documentElement.lang), 'en')
    await tab.close()
  }
})

test('the file button and the learning switch are reached with the Tab key', async () => {
  const tab = await Dashboard.open(browser, relay, { storage: 'memory' })
  await tab.page.waitForSelector('[data-action="learn"]')
  const reached = new Set()
  for (let k = 0; k < 40; k++) {
    await tab.page.keyboard.press('Tab')
    reached.add(await tab.tab.run(() => {
      const element = document.activeElement
      return element.matches('input[type=file]') ? 'file' : element.dataset.action ?? element.tagName
    }))
  }
  assert.ok(reached.has('learn'), [...reached].join(' '))
  assert.ok(reached.has('file'), [...reached].join(' '))
  // Words that say what pressing does say the state as well: “Pause learning, pressed” would contradict itself.
  assert.equal(await tab.page.locator('[data-action][aria-pressed]').count(), 0)
  await tab.close()
})

test('a file that is fetched from the keyboard keeps the focus, is announced, and is let go when it is taken back', async () => {
  const [reader, author] = await Promise.all([1, 2].map(() => Dashboard.open(browser, relay, { storage: 'memory' })))
  const cid = await author.tab.run(async relay => {
    const { join } = await import(`${relay}/chorus.js`)
    globalThis.peer = await join({ relay, storage: 'memory' })
    return await peer.share({ type: 'file', name: 'slip.txt', content: 'a slip' })
  }, relay.http)
  await reader.tab.run(() => {
    const real = URL.revokeObjectURL
    URL.revokeObjectURL = url => {
      document.body.dataset.revoked = url
      real.call(URL, url)
    }
  })
  const row = reader.page.locator(`.files [data-cid="${cid}"]`)
  await row.locator('[data-action="fetch"]').press('Enter')
  const url = await row.locator('a[download]').getAttribute('href')
  assert.ok(await row.evaluate(row => row.contains(document.activeElement)))
  assert.equal(await row.locator('[role="status"]').textContent(), 'slip.txt can be saved')
  await author.tab.run(cid => peer.revoke(cid), cid)
  await reader.tab.until(url => document.body.dataset.revoked === url, url, 30_000, 'the address is given up')
  assert.equal(await row.count(), 0)
  for (const tab of [reader, author]) await tab.close()
})

test('a digit drawn with the mouse gets an answer', async () => {
  const tab = await Dashboard.open(browser, relay, { storage: 'memory' })
  const canvas = tab.page.locator('canvas').first()
  await canvas.waitFor()
  await canvas.scrollIntoViewIfNeeded()
  const box = await canvas.boundingBox()
  const at = (x, y) => [box.x + box.width * x, box.y + box.height * y]
  await tab.page.mouse.move(...at(0.5, 0.15))
  await tab.page.mouse.down()
  await tab.page.mouse.move(...at(0.5, 0.85), { steps: 12 })
  await tab.page.mouse.up()
  const guess = await tab.tab.until(() => document.querySelector('[data-guess]')?.dataset.guess, null, 30_000, 'an answer')
  assert.match(guess, /^[0-9]$/)
  await tab.close()
})

test('an address that does not exist is answered 404 and the health checks 200', async () => {
  assert.equal((await fetch(`${relay.http}/nothing-here`)).status, 404)
  for (const path of ['/healthz', '/readyz', '/bootstrap.json', '/chorus.js', '/widget.js', '/metrics']) {
    assert.equal((await fetch(relay.http + path)).status, 200, path)
  }
  const bootstrap = await fetch(`${relay.http}/bootstrap.json`)
  assert.equal(bootstrap.headers.get('access-control-allow-origin'), '*')
  const { network, peer_id: id, addrs } = await bootstrap.json()
  assert.deepEqual([network, id], ['main', relay.peerId])
  assert.ok(addrs.includes(relay.ws), addrs.join(' '))
})
