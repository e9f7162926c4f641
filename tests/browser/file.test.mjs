// 10 MB from tab to tab, from a tab to the command line, and back.

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'

import { content, sha256 } from '../lib/bytes.mjs'
import { launch } from '../lib/chromium.mjs'
import { openMesh } from '../lib/dashboard.mjs'
import { Relay, cli } from '../lib/relay.mjs'

const SIZE = 10_000_000

let browser
let relay
let dir
let tabs
before(async () => {
  [browser, relay, dir] = await Promise.all([launch(), Relay.start(), mkdtemp(join(tmpdir(), 'chorus-file-'))])
  tabs = await openMesh(browser, relay, [{ storage: 'memory' }, {}])
})
after(async () => {
  await browser?.close()
  await relay?.close()
  if (dir) await rm(dir, { recursive: true, force: true })
})

test('a 10 MB file shared in one tab arrives identical in another, and through chorus-relay get', async () => {
  const bytes = content(SIZE, 11)
  const cid = await tabs[0].share('eleven.bin', bytes)
  assert.equal(sha256(await tabs[1].fetch(cid)), sha256(bytes))
  const output = join(dir, 'eleven.bin')
  await cli(['get', cid, '--relay', relay.http, '-o', output], { ms: 60_000 })
  assert.equal(sha256(await readFile(output)), sha256(bytes))
  tabs.forEach(tab => tab.tab.check())
})

test('a 10 MB file shared with chorus-relay share arrives identical in a tab', async () => {
  const bytes = content(SIZE, 12)
  const path = join(dir, 'twelve.bin')
  await writeFile(path, bytes)
  const cid = (await cli(['share', path, '--relay', relay.http], { ms: 60_000 })).trim()
  assert.match(cid, /^b[a-z2-7]+$/)
  assert.equal(sha256(await tabs[1].fetch(cid)), sha256(bytes))
  tabs.forEach(tab => tab.tab.check())
})

test('an empty file and one of one byte arrive as well', async () => {
  for (const bytes of [new Uint8Array(0), new Uint8Array([42])]) {
    const cid = await tabs[1].share(`${bytes.length}.bin`, bytes)
    assert.deepEqual(new Uint8Array(await tabs[0].fetch(cid)), bytes)
  }
  tabs.forEach(tab => tab.tab.check())
})

test('a file over the limit is refused in words, and the next one is shared', async () => {
  const tab = tabs[0]
  await tab.page.locator('input[type=file]').setInputFiles({ name: 'large.bin', mimeType: 'application/octet-stream', buffer: Buffer.alloc(SIZE + 1) })
  const notice = await tab.tab.until(() => document.querySelector('[data-error="notice"]')?.innerText, null, 30_000, 'a notice')
  assert.match(notice, /10/)
  const cid = await tab.share('after.bin', content(100, 13))
  assert.ok(cid)
  tab.tab.check()
})
