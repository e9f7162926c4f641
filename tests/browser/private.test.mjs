// Private learning on the page: steps are paid before they are taken, and all tabs of a profile share one budget.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { launch } from '../lib/chromium.mjs'
import { Dashboard, openMesh } from '../lib/dashboard.mjs'
import { Relay } from '../lib/relay.mjs'
import { PATIENCE_MS } from '../lib/wait.mjs'

let browser
let relay
before(async () => { [browser, relay] = await Promise.all([launch(), Relay.start()]) })
after(async () => {
  await browser?.close()
  await relay?.close()
})

/** ε as the page shows it. */
const epsilon = ({ tab }) => tab.run(() => Number(document.querySelector('[data-exchanges]').dataset.epsilon))

/** Bytes of the profile's training ledger; 0 where there is none. */
const stored = ({ tab }) => tab.run(() => new Promise((resolve, reject) => {
  const opening = indexedDB.open('chorus/main')
  opening.onerror = () => reject(opening.error)
  opening.onsuccess = () => {
    const request = opening.result.transaction('records').objectStore('records').get('training')
    request.onerror = () => reject(request.error)
    request.onsuccess = () => {
      opening.result.close()
      resolve(request.result?.length ?? 0)
    }
  }
}))

test('tabs that learn privately get better, and what they spend is on disk and stays spent', async () => {
  const tabs = await openMesh(browser, relay, ['0,1,2,3,4', '5,6,7,8,9'].map(classes => ({ classes, private: 'on', train: 'on' })))
  for (const tab of tabs) {
    const seen = await tab.learned(0.6, 60, 120_000)
    assert.ok(seen.accuracy > 0.6 && seen.alone < 0.55, JSON.stringify(seen))
    assert.ok(await stored(tab) > 0)
    const note = await tab.page.locator('.learn .note').first().innerText()
    assert.match(note, /has noise that hides every single example/)
  }
  const [one] = tabs
  const spent = await epsilon(one)
  assert.ok(spent > 0 && spent <= 8, spent)
  await one.reload()
  await one.tab.until(() => document.querySelector('[data-epsilon]') != null, null, PATIENCE_MS, 'what is spent is shown')
  assert.ok(await epsilon(one) >= spent)
  for (const tab of tabs) {
    tab.tab.check()
    await tab.close()
  }
})

test('a tab that has nobody to learn with books nothing', async () => {
  const tab = await Dashboard.open(browser, relay, { private: 'on', train: 'on' })
  await tab.tab.until(() => document.querySelector('[data-epsilon="0.0000"]') != null, null, PATIENCE_MS, 'nothing is spent')
  await tab.reload()
  await tab.tab.until(() => document.querySelector('[data-epsilon]') != null, null, PATIENCE_MS, 'what is spent is shown')
  assert.equal(await epsilon(tab), 0)
  assert.equal(await stored(tab), 0)
  await tab.close()
})

test('who has shared without noise is promised no more than noise can keep', async () => {
  const tabs = await openMesh(browser, relay, ['0,1,2', '3,4,5'].map(classes => ({ classes, train: 'on' })))
  await Promise.all(tabs.map(tab => tab.exchanges(2)))
  const [one] = tabs
  await one.page.locator('[data-action="private"]').click()
  await one.tab.until(() => document.querySelector('[data-private="true"][data-epsilon]') != null, null, PATIENCE_MS, 'learning is private')
  const note = await one.page.locator('.learn .note').first().innerText()
  assert.match(note, /Before, this browser shared without/)
  assert.doesNotMatch(note, /every single example/)
  for (const tab of tabs) await tab.close()
})

test('switching private learning off and on again loses no step that is booked', async () => {
  const tabs = await openMesh(browser, relay, ['0,1,2', '3,4,5'].map(classes => ({ classes, private: 'on', train: 'on' })))
  const [one] = tabs
  await one.exchanges(1)
  // Bookings from here on.
  await one.tab.run(() => {
    globalThis.__booked = 0
    const real = IDBObjectStore.prototype.put
    IDBObjectStore.prototype.put = function (...all) {
      if (all.includes('training')) globalThis.__booked++
      return real.apply(this, all)
    }
  })
  /** Switches, waits until the new learner has exchanged once, and resolves to how often the one before did. */
  const toggle = async isPrivate => {
    const exchanges = await one.exchanges()
    await one.page.locator('[data-action="private"]').click()
    await one.tab.until(is => document.querySelector(`[data-private="${is}"]`) != null, isPrivate, PATIENCE_MS, `private: ${isPrivate}`)
    await one.exchanges(1)
    return exchanges
  }
  let steps = 0
  for (let turn = 0; turn < 6; turn++) {
    // One more may have been under way.
    steps += await toggle(false) + 1
    await toggle(true)
  }
  steps += await one.exchanges() + 1
  const booked = await one.tab.run(() => globalThis.__booked * 10)
  // Ten are booked at once, where five are left.
  assert.ok(booked <= steps + 15, `${booked} booked for at most ${steps}`)
  for (const tab of tabs) await tab.close()
})
