// The page of a relay in a tab, by the marks that contract.md and the page fix: root `[data-peer-id]`, rows
// `[data-peer][data-kind]`, `[data-cid][data-type]`, `.files [data-cid][data-state]`, the learner's `[data-exchanges]`.

import { readFile } from 'node:fs/promises'

import { Tab } from './chromium.mjs'
import { PATIENCE_MS } from './wait.mjs'

export class Dashboard {
  /** @type {Tab} */ tab
  /** The peer's id. @type {string} */ id

  /**
   * Opens the page in a context of its own and waits until the peer is up.
   *
   * @param {import('playwright-core').Browser} browser
   * @param {import('./relay.mjs').Relay} relay
   * @param {Record<string, string>} [query] `classes`, `train`, `storage`, `ice`. Learning is off unless asked for.
   * @param {{ beside?: Dashboard, context?: object }} [options]
   */
  static async open (browser, relay, query = {}, { beside, context } = {}) {
    const dashboard = new Dashboard()
    dashboard.tab = await Tab.open(browser, { beside: beside?.tab, context })
    const search = new URLSearchParams({ train: 'off', ...query })
    await dashboard.tab.page.goto(`${relay.http}/?${search}`)
    await dashboard.up()
    return dashboard
  }

  get page () { return this.tab.page }

  /** Waits until the peer is up; resolves to its id. */
  async up () {
    this.id = await this.tab.until(() => document.querySelector('[data-peer-id]')?.dataset.peerId, null, PATIENCE_MS, 'the peer is up')
    return this.id
  }

  async reload () {
    await this.page.reload()
    return await this.up()
  }

  /** Waits until `other` is listed as `kind`. */
  waitPeer (other, kind, ms = PATIENCE_MS) {
    return this.tab.until(
      ([id, kind]) => document.querySelector(`[data-peer="${id}"][data-kind="${kind}"]`) != null,
      [other.id ?? other, kind], ms, `${other.id ?? other} is listed as ${kind}`)
  }

  /** Waits until `other` is not listed. */
  waitGone (other, ms) {
    return this.tab.until(
      id => document.querySelector(`[data-peer="${id}"]`) == null,
      other.id ?? other, ms, `${other.id ?? other} is not listed`)
  }

  /** How the page says `other` is connected: the row's text. */
  rowText (other) {
    return this.page.locator(`[data-peer="${other.id}"]`).innerText()
  }

  /** Resolves to `{ exchanges, accuracy, alone }`, shares of 0..1, once `accuracy` was above `share` or `most` exchanges passed. */
  learned (share, most, ms) {
    return this.tab.until(([share, most]) => {
      const { exchanges, accuracy, alone } = document.querySelector('[data-exchanges]').dataset
      const seen = { exchanges: Number(exchanges), accuracy: Number(accuracy), alone: Number(alone) }
      return (seen.accuracy > share || seen.exchanges > most) && seen
    }, [share, most], ms, `an accuracy above ${share}`)
  }

  /** Resolves to the number of exchanges once it is at least `count`. */
  exchanges (count = 0, ms = PATIENCE_MS) {
    return this.tab.until(count => {
      const exchanges = Number(document.querySelector('[data-exchanges]')?.dataset.exchanges)
      return exchanges >= count && { exchanges }
    }, count, ms, `${count} exchanges`).then(({ exchanges }) => exchanges)
  }

  /** The digits that this tab holds, as strings. */
  classes () {
    return this.tab.run(() => document.querySelector('[data-classes]').dataset.classes.split(','))
  }

  /** Resolves to who holds each digit (`mine`, `others`, `nobody`, `open`) once `isDone` says so of all ten. */
  holders (isDone, ms = 60_000) {
    return this.tab.until(`() => {
      const all = Array.from(document.querySelectorAll('[data-holder]'), chip => chip.dataset.holder)
      return all.length === 10 && (${isDone})(all) && all
    }`, null, ms, `who holds which digit: ${isDone}`)
  }

  /** Chooses a file with the page's button and waits until the page asks; resolves to the id of what would leave. */
  async offer (name, bytes) {
    await this.page.locator('input[type=file]').setInputFiles({ name, mimeType: 'application/octet-stream', buffer: Buffer.from(bytes) })
    return await this.asked()
  }

  /** Waits until the page asks whether something may leave, other than `before`; resolves to the id of it. */
  asked (before) {
    return this.tab.until(before => {
      const dialog = document.querySelector('dialog.ask')
      const isReady = dialog?.querySelector('[data-answer="yes"]') && !dialog.querySelector('[aria-busy]')
      return isReady && dialog.dataset.cid !== before && dialog.dataset.cid
    }, before, PATIENCE_MS, 'the page asks')
  }

  /** Answers the dialog that is open and waits until it is gone. */
  async answer (answer) {
    const dialog = this.page.locator('dialog.ask')
    await dialog.locator(`[data-answer="${answer}"]`).click()
    await dialog.waitFor({ state: 'detached', timeout: PATIENCE_MS })
  }

  /** Shares `bytes` with the page's buttons; resolves to the packet's content id. */
  async share (name, bytes) {
    const cid = await this.offer(name, bytes)
    await this.answer('yes')
    await this.tab.until(cid => document.querySelector(`.files [data-cid="${cid}"][data-state="own"]`) != null, cid, PATIENCE_MS, `${name} is shared`)
    return cid
  }

  /** Waits until the file of the packet `cid` is listed, fetches it with the page's buttons and resolves to its bytes. */
  async fetch (cid, ms = 60_000) {
    const row = `.files [data-cid="${cid}"]`
    await this.tab.until(row => document.querySelector(row) != null, row, PATIENCE_MS, `${cid} is listed`)
    await this.page.locator(`${row} [data-action="fetch"]`).click()
    const state = await this.tab.until(row => {
      const { state } = document.querySelector(row).dataset
      return (state === 'ready' || state === 'failed') && state
    }, row, ms, `${cid} is fetched`)
    if (state === 'failed') throw new Error(`${cid}: ${await this.page.locator(row).innerText()}`)
    const download = this.page.waitForEvent('download')
    await this.page.locator(`${row} a[download]`).click()
    return await readFile(await (await download).path())
  }

  close () { return this.tab.close() }
}

/** Opens a page for each query at once and waits until every pair is listed as `kind` on both sides. */
export async function openMesh (browser, relay, queries, kind = 'direct') {
  const all = await Promise.all(queries.map(query => Dashboard.open(browser, relay, query)))
  await meet(all, kind)
  return all
}

/** Waits until every pair of `all` is listed as `kind` on both sides. */
export async function meet (all, kind = 'direct', ms) {
  await Promise.all(all.flatMap(one => all.filter(other => other !== one).map(other => one.waitPeer(other, kind, ms))))
}
