// The page's way with models: stopped, as a difference to another, and with what is none. How busy it is meanwhile:
// studio.quiet.test.mjs.

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'

import { meet } from '../lib/dashboard.mjs'
import { Studio, dialog, drop, shown } from '../lib/studio.mjs'
import { PATIENCE_MS, SLOW_MS, deferred, within } from '../lib/wait.mjs'

const studio = new Studio()
before(() => studio.start(2))
after(() => studio.close())

test('packing is stopped in the middle, and nothing is lost or left', async () => {
  const [one, two] = studio.tabs
  await drop(one, studio.paths.three)
  await shown(one, '.picture')
  await dialog(one).locator('[data-answer="pack"]').click()
  await dialog(one).locator('[data-answer="stop"]').click()
  await shown(one, '[data-answer="pack"]')
  await one.answer('no')
  assert.equal(await two.page.locator('.files [data-cid]').count(), 0)
  studio.tabs.forEach(tab => tab.tab.check())
})

test('of a model that the others have, only the difference is packed, and who opens it without that model is told', async () => {
  const [one, two] = studio.tabs
  await drop(one, studio.paths.mine)
  await shown(one, '.picture')
  await dialog(one).locator('[data-choice="base"]').setInputFiles(studio.paths.three)
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
  await dialog(two).locator('[data-choice="file"]').setInputFiles(studio.paths.mine)
  await shown(two, '[role="alert"]')
  await dialog(two).locator('[data-choice="file"]').setInputFiles(studio.paths.three)
  await shown(two, '[data-answer="undo"]')
  await two.answer('no')

  // Once more, closed while the third worker takes the blended model: the first has the own one, the second lets it in.
  const ended = []
  const third = deferred()
  two.page.on('worker', worker => {
    if (ended.push(new Promise(resolve => worker.once('close', resolve))) === 3) third.resolve()
  })
  await two.page.locator(`.files [data-cid="${cid}"] [data-action="engram"]`).click()
  await shown(two, '[data-choice="file"]')
  await dialog(two).locator('[data-choice="file"]').setInputFiles(studio.paths.three)
  await within(third.promise, SLOW_MS, 'the blended model is on its way')
  await two.answer('no')
  await within(Promise.all(ended), PATIENCE_MS, 'no worker is left')
  studio.tabs.forEach(tab => tab.tab.check())
})

test('what is no model is refused in words, and the page goes on', async () => {
  const [one, two] = studio.tabs
  const path = join(studio.dir, 'broken.safetensors')
  await writeFile(path, 'this is no model at all')
  await drop(one, path)
  await dialog(one).locator('[role="alert"]').waitFor({ timeout: PATIENCE_MS })
  await one.answer('no')
  const cid = await one.share('after.txt', new TextEncoder().encode('still here'))
  assert.equal(String(await two.fetch(cid)), 'still here')
  await meet([one, two])
  studio.tabs.forEach(tab => tab.tab.check())
})
