// The page's way with models: how small one gets is seen before it is shared; another tab lets it into its own and out again.

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'

import { launch } from '../lib/chromium.mjs'
import { meet, openMesh } from '../lib/dashboard.mjs'
import { Relay } from '../lib/relay.mjs'
import { PATIENCE_MS } from '../lib/wait.mjs'
import { weights } from '../lib/weights.mjs'

/** Longest task of a page, ms. Source: issue 4, "the page never blocks for more than 100 ms". */
const LONGEST_MS = 100
/** For what packs megabytes with a wasm that is not optimised. */
const SLOW_MS = 150_000

let browser
let relay
let dir
let tabs
const paths = {}
before(async () => {
  [browser, relay, dir] = await Promise.all([launch(), Relay.start(), mkdtemp(join(tmpdir(), 'chorus-studio-'))])
  const { three, threeTuned } = await weights()
  for (const [name, bytes] of Object.entries({ three, mine: threeTuned })) {
    paths[name] = join(dir, `${name}.safetensors`)
    await writeFile(paths[name], bytes)
  }
  tabs = await openMesh(browser, relay, [{ storage: 'memory' }, { storage: 'memory' }, { storage: 'memory' }])
  // What was loaded with the page is not what is measured.
  for (const tab of tabs) {
    await tab.tab.run(() => {
      globalThis.longTasks = []
      new PerformanceObserver(list => longTasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: 'longtask' })
    })
  }
})
after(async () => {
  await browser?.close()
  await relay?.close()
  if (dir) await rm(dir, { recursive: true, force: true })
})

const dialog = tab => tab.page.locator('dialog.ask')

const drop = (tab, path) => tab.page.locator('.drop input[type=file]').setInputFiles(path)

/** Resolves once the dialog shows what `selector` finds. */
const shown = (tab, selector, ms = SLOW_MS) => dialog(tab).locator(selector).first().waitFor({ state: 'attached', timeout: ms })

test('a model of 20 MB is packed as its owner chose, comes from two providers, is let into another and taken out to the bit', async () => {
  const [one, two, three] = tabs
  await drop(one, paths.three)
  await shown(one, '.picture')
  const words = await dialog(one).innerText()
  assert.match(words, /Share “three\.safetensors”/)
  assert.match(words, /too large: 10\.0 MB is the most/)
  // A dot of the picture is as good as its row.
  const rows = dialog(one).locator('[data-choice="point"]:enabled')
  const row = rows.nth(2)
  const place = await row.getAttribute('value')
  await dialog(one).locator(`[data-pick="${place}"]`).click()
  await shown(one, `[data-choice="point"][value="${place}"]:checked`)
  const foretold = Number(/about ([\d.]+) MB/.exec(await row.locator('..').innerText())?.[1])
  await dialog(one).locator('[data-answer="pack"]').click()
  await shown(one, '[data-answer="yes"]')
  assert.equal(await dialog(one).locator('[data-answer="yes"]').innerText(), 'Share it without noise')
  const bytes = Number(await dialog(one).locator('[data-bytes]').getAttribute('data-bytes'))
  assert.ok(Math.abs(bytes / 1e6 - foretold) < 0.1 * foretold, `${foretold} MB foretold, ${bytes} bytes leave`)
  // How exact it is says the engram itself, to a hundredth; what was foretold has any digits.
  const ratio = Number(/"snr_db":\s*([\d.]+)/.exec(await dialog(one).textContent())?.[1])
  assert.ok(Math.abs(ratio * 100 - Math.round(ratio * 100)) < 1e-6, `${ratio} dB`)
  const cid = await one.asked()
  await one.answer('yes')

  const packed = await two.fetch(cid)
  // The third has it from both: the relay knows both as providers, and each sends a part.
  const got = await three.fetch(cid)
  assert.ok(got.equals(packed))
  await three.tab.until(ids => ids.every(id => document.querySelector(`[data-peer="${id}"]`)?.dataset.bytesIn > 100_000), [one.id, two.id], PATIENCE_MS, 'both sent a part')

  await three.page.locator(`.files [data-cid="${cid}"] [data-action="engram"]`).click()
  await shown(three, '[data-choice="file"]')
  await dialog(three).locator('[data-choice="file"]').setInputFiles(paths.mine)
  await shown(three, '[data-answer="undo"]')
  const states = await three.tab.run(() => Array.from(document.querySelectorAll('dialog.ask [data-step]'), step => step.dataset.state))
  assert.deepEqual(states, ['done', 'done', 'done', 'done', 'now'])
  assert.ok(await dialog(three).locator('.picture .share').count() > 1, 'the share is drawn, step by step')
  assert.equal(await dialog(three).locator('[data-same]').getAttribute('data-same'), 'false')
  const download = three.page.waitForEvent('download')
  await dialog(three).locator('[data-answer="save"]').click()
  const blended = await readFile(await (await download).path())
  const mine = await readFile(paths.mine)
  assert.ok(blended.length === mine.length && !blended.equals(mine))

  await dialog(three).locator('[data-answer="undo"]').click()
  await shown(three, '[data-same="true"]')
  const digests = await dialog(three).locator('details code').allTextContents()
  assert.equal(digests[0], digests[1])
  await three.answer('no')
  for (const tab of tabs) {
    const tasks = await tab.tab.run(() => longTasks)
    assert.ok(Math.max(0, ...tasks) <= LONGEST_MS, `tasks of ${tasks} ms`)
    tab.tab.check()
  }
})

test('packing is stopped in the middle, and nothing is lost or left', async () => {
  const [one, two] = tabs
  await drop(one, paths.three)
  await shown(one, '.picture')
  await dialog(one).locator('[data-answer="pack"]').click()
  await dialog(one).locator('[data-answer="stop"]').click()
  await shown(one, '[data-answer="pack"]')
  await one.answer('no')
  assert.equal(await two.page.locator('.files [data-cid]').count(), 1, 'only what was shared before')
  tabs.forEach(tab => tab.tab.check())
})

test('of a model that the others have, only the difference is packed, and who opens it without that model is told', async () => {
  const [one, two] = tabs
  await drop(one, paths.mine)
  await shown(one, '.picture')
  await dialog(one).locator('[data-choice="base"]').setInputFiles(paths.three)
  await shown(one, '[data-answer="whole"]')
  await shown(one, '.picture')
  await dialog(one).locator('[data-answer="pack"]').click()
  await shown(one, '[data-answer="yes"]')
  const cid = await one.asked()
  await one.answer('yes')
  await two.fetch(cid)
  await two.page.locator(`.files [data-cid="${cid}"] [data-action="engram"]`).click()
  await shown(two, '[data-choice="file"]')
  assert.match(await dialog(two).innerText(), /difference to a model/i)
  await dialog(two).locator('[data-choice="file"]').setInputFiles(paths.mine)
  await shown(two, '[role="alert"]')
  await dialog(two).locator('[data-choice="file"]').setInputFiles(paths.three)
  await shown(two, '[data-answer="undo"]')
  await two.answer('no')
  tabs.forEach(tab => tab.tab.check())
})

test('what is no model is refused in words, and the page goes on', async () => {
  const [one, two] = tabs
  const path = join(dir, 'broken.safetensors')
  await writeFile(path, 'this is no model at all')
  await drop(one, path)
  await dialog(one).locator('[role="alert"]').waitFor({ timeout: PATIENCE_MS })
  await one.answer('no')
  const cid = await one.share('after.txt', new TextEncoder().encode('still here'))
  assert.equal(String(await two.fetch(cid)), 'still here')
  await meet([one, two])
  tabs.forEach(tab => tab.tab.check())
})
