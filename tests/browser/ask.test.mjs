// What the page asks before a file leaves: who, what, and what was found; and the list of what left.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'

import { content } from '../lib/bytes.mjs'
import { launch } from '../lib/chromium.mjs'
import { openMesh } from '../lib/dashboard.mjs'
import { Relay } from '../lib/relay.mjs'
import { PATIENCE_MS } from '../lib/wait.mjs'

const NOTES = 'Ask ada.lovelace@example.org, or transfer it to DE89 3704 0044 0532 0130 00.\n'

let browser
let relay
let tabs
before(async () => {
  [browser, relay] = await Promise.all([launch(), Relay.start()])
  tabs = await openMesh(browser, relay, [{}, {}])
})
after(async () => {
  await browser?.close()
  await relay?.close()
})

const dialog = tab => tab.page.locator('dialog.ask')
const bytes = text => new TextEncoder().encode(text)
const listed = (tab, cid) => tab.tab.until(cid => document.querySelector(`.files [data-cid="${cid}"]`) != null, cid, PATIENCE_MS, `${cid} is listed`)

test('what was found is struck out before it leaves, and what arrives is without it', async () => {
  const [one, two] = tabs
  const cid = await one.offer('notes for bob@example.org.txt', bytes(NOTES))
  const struck = await dialog(one).locator('del').allInnerTexts()
  assert.deepEqual(struck.toSorted(), ['DE89 3704 0044 0532 0130 00', 'ada.lovelace@example.org', 'bob@example.org'])
  assert.equal(await dialog(one).locator('h2').innerText(), 'Share “notes for [email].txt”?')
  // What others will read is shown as it leaves.
  assert.equal(await dialog(one).locator('pre.content').innerText(), 'Ask [email], or transfer it to [iban].\n')
  await one.answer('yes')
  await listed(two, cid)
  assert.equal(String(await two.fetch(cid)), 'Ask [email], or transfer it to [iban].\n')
  tabs.forEach(tab => tab.tab.check())
})

test('what a person keeps here leaves nothing behind, neither in the list nor with the others', async () => {
  const [one, two] = tabs
  const kept = await one.offer('kept.bin', content(100, 21))
  await one.answer('no')
  // What is shared after it arrives; news comes in order.
  const cid = await one.share('shared.bin', content(100, 22))
  await listed(two, cid)
  assert.equal(await two.page.locator(`[data-cid="${kept}"]`).count(), 0)
  await one.page.locator('[data-action="ledger"]').click()
  await dialog(one).locator(`.left [data-cid="${cid}"]`).waitFor({ timeout: PATIENCE_MS })
  assert.equal(await dialog(one).locator(`.left [data-cid="${kept}"]`).count(), 0)
  await one.answer('no')
  tabs.forEach(tab => tab.tab.check())
})

test('a file leaves as it is where its owner says so, and the list says it too', async () => {
  const [one, two] = tabs
  const clean = await one.offer('as-it-is.txt', bytes(NOTES))
  await dialog(one).locator('[data-choice="verbatim"]').click()
  const cid = await one.asked(clean)
  assert.equal(await dialog(one).locator('del').count(), 0)
  assert.equal(await dialog(one).locator('mark').count(), 2)
  await one.answer('yes')
  await listed(two, cid)
  assert.equal(String(await two.fetch(cid)), NOTES)
  await one.page.locator('[data-action="ledger"]').click()
  assert.match(await dialog(one).locator(`.left [data-cid="${cid}"]`).innerText(), /2 findings left in it/)
  await one.answer('no')
})

test('a private key is refused in words, and the page goes on', async () => {
  const [one] = tabs
  const key = '-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v\n-----END PRIVATE KEY-----\n'
  await one.page.locator('input[type=file]').setInputFiles({ name: 'id_ed25519', mimeType: 'text/plain', buffer: Buffer.from(key) })
  const words = await dialog(one).locator('[role="alert"]').innerText({ timeout: PATIENCE_MS })
  assert.match(words, /must not leave/)
  await one.answer('no')
  assert.ok(await one.share('after.bin', content(10, 23)))
})

test('numbers of a model leave with noise where their owner adds it, and the page says where they would not', async () => {
  const [one, two] = tabs
  const header = '{"layer":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}  '
  const numbers = new Float32Array([0.5, -0.25, 0.125, 1])
  const file = Buffer.concat([Buffer.from(new BigUint64Array([BigInt(header.length)]).buffer), Buffer.from(header), Buffer.from(numbers.buffer)])
  await one.page.locator('input[type=file]').setInputFiles({ name: 'layer.safetensors', mimeType: 'application/octet-stream', buffer: file })
  await dialog(one).locator('[data-answer="plain"]').click()
  const exact = await one.asked()
  const [yes, wish] = [dialog(one).locator('[data-answer="yes"]'), dialog(one).locator('[data-noise]')]
  assert.equal(await yes.innerText(), 'Share it without noise')
  assert.equal(await wish.count(), 2)
  assert.equal(await dialog(one).locator('pre.content').count(), 0)

  // What cannot be is refused in words and costs nothing; the numbers stay as they were typed.
  await dialog(one).locator('[data-noise="clipNorm"]').fill('-1')
  await dialog(one).locator('[data-answer="noise"]').click()
  assert.match(await dialog(one).locator('[role="alert"]').innerText({ timeout: PATIENCE_MS }), /clip norm/)
  await dialog(one).locator('[data-answer="again"]').click()
  await dialog(one).locator('[data-noise="clipNorm"]').fill('0.5')
  await dialog(one).locator('[data-noise="noiseMultiplier"]').fill('8')
  await dialog(one).locator('[data-answer="noise"]').click()
  await dialog(one).locator('.samples').waitFor({ timeout: PATIENCE_MS })
  const noised = await one.asked(exact)
  assert.equal(await wish.count(), 0)
  assert.equal(await yes.innerText(), 'Share it')
  assert.match(await dialog(one).innerText(), /together at most 0\.5 long, noise 8 times as large/)

  // Another choice is looked through anew, without noise, and says so; noise is asked for again.
  await dialog(one).locator('[data-choice="everybody"]').click()
  const again = await one.asked(noised)
  assert.equal(await yes.innerText(), 'Share it without noise')
  assert.equal(await dialog(one).locator('[data-noise="noiseMultiplier"]').inputValue(), '8')
  await dialog(one).locator('[data-answer="noise"]').click()
  await dialog(one).locator('.samples').waitFor({ timeout: PATIENCE_MS })
  const cid = await one.asked(again)
  await one.answer('yes')
  await listed(two, cid)
  const got = await two.fetch(cid)
  const left = new Float32Array(Uint8Array.from(got.subarray(got.length - 16)).buffer)
  assert.equal(left.length, 4)
  assert.ok(left.every((number, i) => Number.isFinite(number) && number !== numbers[i]), left.join())
  tabs.forEach(tab => tab.tab.check())
})

test('markup in a name is shown and not run', async () => {
  const [one] = tabs
  await one.offer('<img src=x onerror="window.hacked=1">.txt', bytes('nothing'))
  assert.match(await dialog(one).locator('h2').innerText(), /<img src=x/)
  assert.equal(await dialog(one).locator('img').count(), 0)
  await one.answer('no')
  assert.equal(await one.tab.run(() => window.hacked), undefined)
  one.tab.check()
})

test('a file is sealed to one tab, which opens it by name, and the list is there after a reload and in the export', async () => {
  const [one, two] = tabs
  await two.page.locator('[data-action="ledger"]').click()
  await dialog(two).locator('[data-answer="receive"]').click()
  await two.tab.until(() => /until/.test(document.querySelector('dialog.ask')?.innerText), null, PATIENCE_MS, 'the key is published')
  await two.answer('no')
  await one.tab.until(() => document.querySelector('[data-type="seal-key"]') != null, null, PATIENCE_MS, 'the key is known')
  const open = await one.offer('wages.csv', bytes('role,wage\ncook,1\n'))
  await dialog(one).locator(`[data-choice="reader"][value="${two.id}"]`).click()
  const cid = await one.asked(open)
  assert.match(await dialog(one).innerText(), /nobody else can read it/)
  assert.equal(await dialog(one).locator('pre.content').innerText(), 'role,wage\ncook,1\n')
  await one.answer('yes')
  assert.equal(String(await two.fetch(cid)), 'role,wage\ncook,1\n')
  assert.equal(await two.page.locator(`.files [data-cid="${cid}"]`).getAttribute('data-name'), 'wages.csv')

  await one.reload()
  await one.page.locator('[data-action="ledger"]').click()
  const row = dialog(one).locator(`.left [data-cid="${cid}"]`)
  assert.match(await row.innerText({ timeout: PATIENCE_MS }), /wages\.csv/)
  assert.match(await row.innerText(), /sealed to/)
  const download = one.page.waitForEvent('download')
  await dialog(one).locator('[data-answer="export"]').click()
  const saved = JSON.parse(await readFile(await (await download).path(), 'utf8'))
  assert.deepEqual(saved.entries.find(entry => entry.cid === cid).readers, [two.id])
  await one.answer('no')
  tabs.forEach(tab => tab.tab.check())
})
