// The page's way with models, and how busy it is meanwhile: how small one gets is seen before it is shared; another tab lets it
// into its own and out again.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'

import { provided } from '../lib/dht.mjs'
import { Studio, dialog, drop, shown } from '../lib/studio.mjs'
import { Tasks, checkLongest } from '../lib/tasks.mjs'
import { PATIENCE_MS } from '../lib/wait.mjs'

const studio = new Studio()
before(() => studio.start(3))
after(() => studio.close())

test('a model of 20 MB is packed as its owner chose, comes from two providers, is let into another and taken out to the bit', async t => {
  const [one, two, three] = studio.tabs
  // What was loaded with the page is not what is measured.
  const tasks = await Tasks.watch(studio.browser, Object.fromEntries(studio.tabs.map(({ tab }, i) => [i, tab])))
  await drop(one, studio.paths.three)
  await shown(one, '.picture')
  const words = await dialog(one).innerText()
  assert.match(words, /Share “three\.safetensors”/)
  assert.match(words, /too large: 10\.0 MB is the most/)
  // A dot of the picture is as good as its row.
  const rows = dialog(one).locator('[data-choice="point"]:enabled')
  // The largest: while its first parts come from its author, the search for others who have it ends.
  const row = rows.first()
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
  // The third has it from both: the relay names both as having it, and each sends a part.
  await provided(studio.relay, cid, [one.id, two.id])
  const got = await three.fetch(cid)
  assert.ok(got.equals(packed))
  await three.tab.until(ids => ids.every(id => document.querySelector(`[data-peer="${id}"]`)?.dataset.bytesIn > 100_000), [one.id, two.id], PATIENCE_MS, 'both sent a part')

  await three.page.locator(`.files [data-cid="${cid}"] [data-action="engram"]`).click()
  await shown(three, '[data-choice="file"]')
  await dialog(three).locator('[data-choice="file"]').setInputFiles(studio.paths.mine)
  await shown(three, '[data-answer="undo"]')
  const states = await three.tab.run(() => Array.from(document.querySelectorAll('dialog.ask [data-step]'), step => step.dataset.state))
  assert.deepEqual(states, ['done', 'done', 'done', 'done', 'now'])
  assert.ok(await dialog(three).locator('.picture .share').count() > 1, 'the share is drawn, step by step')
  assert.equal(await dialog(three).locator('[data-same]').getAttribute('data-same'), 'false')
  const download = three.page.waitForEvent('download')
  await dialog(three).locator('[data-answer="save"]').click()
  const blended = await readFile(await (await download).path())
  const mine = await readFile(studio.paths.mine)
  assert.ok(blended.length === mine.length && !blended.equals(mine))

  await dialog(three).locator('[data-answer="undo"]').click()
  await shown(three, '[data-same="true"]')
  const digests = await dialog(three).locator('details code').allTextContents()
  assert.equal(digests[0], digests[1])
  await three.answer('no')
  checkLongest(await tasks.longest(), t)
  for (const { tab } of studio.tabs) tab.check()
})
