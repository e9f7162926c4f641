// Sharing with care: the preview against the wire, sealed packets against everybody else, the ledger against reloads.

import assert from 'node:assert/strict'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'

import { rememberSent, sent, subscribed } from '../lib/capture.mjs'
import { Tab, launch } from '../lib/chromium.mjs'
import { openMesh } from '../lib/dashboard.mjs'
import { Relay, cli } from '../lib/relay.mjs'
import { html, serve } from '../lib/serve.mjs'

let browser
let relay
let site
before(async () => {
  [browser, relay] = await Promise.all([launch(), Relay.start()])
  site = await serve({ '/': html('data:text/javascript,', {}) })
})
after(async () => {
  await browser?.close()
  await site?.close()
  await relay?.close()
})

/** A page of another origin with a peer in `globalThis.peer`, and `codeOf(promise)`. */
async function openPeer ({ storage = 'memory', beside } = {}) {
  const tab = await Tab.open(browser, { beside })
  await tab.page.addInitScript(rememberSent)
  tab.storage = storage
  await tab.page.goto(`${site.origin}/`)
  return await joined(tab)
}

async function joined (tab) {
  tab.id = await tab.run(async ([relay, storage]) => {
    const { join } = await import(`${relay}/chorus.js`)
    globalThis.codeOf = promise => promise.then(() => 'no error', error => error.code ?? String(error))
    globalThis.peer = await join({ relay, storage })
    return globalThis.peer.id
  }, [relay.http, tab.storage])
  return tab
}

async function reload (tab) {
  await tab.page.reload()
  return await joined(tab)
}

/** Resolves once each two of `tabs` are directly connected. */
async function meet (tabs) {
  await Promise.all(tabs.map(tab => tab.run(ids => new Promise((resolve, reject) => {
    const stop = peer.on('peer', () => look())
    const look = async () => {
      const direct = (await peer.streams.connections()).filter(connection => connection.kind === 'direct')
      if (!ids.every(id => direct.some(connection => connection.peer === id))) return
      stop()
      resolve()
    }
    look().catch(reject)
  }), tabs.filter(other => other !== tab).map(other => other.id), 30_000, 'all are directly connected')))
}

const base64 = texts => texts.map(text => Buffer.from(text, 'base64'))

/** Previews in the page, and keeps the preview in `globalThis.shown`; resolves to its plain fields. */
async function preview (tab, init) {
  const { packet, blocks, ...rest } = await tab.run(async init => {
    const text = bytes => btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(''))
    globalThis.shown = await peer.preview(init)
    const { packet, blocks, share, discard, ...rest } = globalThis.shown
    return { ...rest, packet: text(packet), blocks: blocks.map(text) }
  }, init)
  return { ...rest, packet: base64([packet])[0], blocks: base64(blocks) }
}

const share = tab => tab.run(() => globalThis.shown.share())

const SECRETS = ['ada.lovelace@example.org', 'DE89370400440532013000', '4111 1111 1111 1111']
const report = lines => Array.from({ length: lines }, (_, i) => `${i}: the model was trained again, write to ${SECRETS[0]}`)
  .concat(`account ${SECRETS[1]}, card ${SECRETS[2]}`).join('\n')

test('the preview is what the wire carries, byte for byte, and what it strikes out is not on the wire', async () => {
  const [one, two] = await Promise.all([openPeer(), openPeer()])
  await meet([one, two])
  await Promise.all([subscribed(one), subscribed(two)])
  for (const [lines, blocks] of [[1, 0], [6000, 3]]) {
    // Its life is too short for the relay to keep a copy, so that `two` gets every block from `one`.
    const shown = await preview(one, { type: 'note', name: `for ${SECRETS[0]}.txt`, content: report(lines), ttl: 300 })
    assert.equal(shown.blocks.length, blocks)
    assert.equal(shown.findingsTotal, lines + 3)
    assert.deepEqual(new Set(shown.findings.map(found => found.kind)), new Set(['email', ...lines > 1 ? [] : ['iban', 'card']]))
    assert.deepEqual(shown.findingsByKind, { email: lines + 1, iban: 1, card: 1 })
    assert.equal(shown.findings[0].before, SECRETS[0])
    assert.deepEqual(shown.readers, 'everybody')

    // Who gets what it has not heard of asks the relay for it.
    await two.run(cid => {
      globalThis.heard = new Promise(resolve => peer.on('packet', packet => packet.cid === cid && resolve()))
    }, shown.cid)
    // What had left with the preview would be on the wire by the time that something later is answered.
    const cid = await one.run(async other => {
      await peer.streams.ping(other)
      globalThis.__mark()
      return await globalThis.shown.share()
    }, two.id)
    assert.equal(cid, shown.cid)
    const got = await two.run(async cid => {
      await globalThis.heard
      const { content, ...json } = await peer.get(cid)
      return { text: new TextDecoder().decode(content), json }
    }, cid)
    for (const secret of SECRETS) assert.ok(!got.text.includes(secret) && got.text.includes('[email]'))
    const json = JSON.parse(shown.json)
    assert.deepEqual(Object.fromEntries(Object.keys(json).map(key => [key, got.json[key]])), json)

    const [wire, before] = [await sent(one), await sent(one, { isBeforeMark: true })]
    assert.ok(before.some(stream => stream.length > 0), 'something was sent before')
    for (const bytes of [shown.packet, ...shown.blocks]) {
      assert.ok(wire.some(stream => stream.includes(bytes)), `${bytes.length} bytes of the preview are on the wire`)
      assert.ok(!before.some(stream => stream.includes(bytes)), 'they leave when they are shared, not before')
    }
    for (const stream of [...wire, ...await sent(two)]) {
      for (const secret of SECRETS) assert.ok(!stream.includes(secret), secret)
    }
  }
  await one.close()
  await two.close()
})

test('content without findings leaves as it is, and a discarded or old preview leaves not at all', async () => {
  const tab = await openPeer()
  const content = await tab.run(async () => {
    const bytes = new Uint8Array(10_000).map((_, i) => i * 7)
    const { content } = await peer.get(await peer.share({ type: 'file', name: 'noise.bin', content: bytes }))
    return content.length === bytes.length && content.every((byte, i) => byte === bytes[i])
  })
  assert.ok(content)
  const codes = await tab.run(async () => {
    const discarded = await peer.preview({ type: 'note', content: 'no' })
    discarded.discard()
    const old = await peer.preview({ type: 'note', content: 'old' })
    const now = Date.now
    Date.now = () => now() + 601_000
    const stale = await codeOf(old.share())
    Date.now = now
    const once = await peer.preview({ type: 'note', content: 'once' })
    await once.share()
    return [await codeOf(discarded.share()), stale, await codeOf(once.share()), (await peer.ledger()).entries.length]
  })
  assert.deepEqual(codes, ['ERR_STALE', 'ERR_STALE', 'ERR_STALE', 2])
  await tab.close()
})

test('identifiers leave as pseudonyms, facts without a crowd stay at home, and what is meant to stay stays', async () => {
  const tab = await openPeer()
  const told = content => ({ type: 'note', content, identifiers: { device: 'workstation-4711' }, facts: { records: 1500 } })
  const shown = await preview(tab, told('trained on Workstation-4711 for an hour'))
  assert.match(shown.pseudonyms.device, /^anon-[0-9a-f]{32}$/)
  assert.deepEqual([shown.suppressed, shown.ranges], [['records'], {}])
  const text = await tab.run(async () => new TextDecoder().decode((await peer.get(await globalThis.shown.share())).content))
  assert.equal(text, `trained on ${shown.pseudonyms.device} for an hour`)

  const content = `write to ${SECRETS[0]}`
  const verbatim = await preview(tab, { type: 'note', content, verbatim: true })
  assert.deepEqual(verbatim.findings.map(({ kind, before, after }) => [kind, before, after]), [['email', SECRETS[0], SECRETS[0]]])
  const kept = await tab.run(async () => new TextDecoder().decode((await peer.get(await globalThis.shown.share())).content))
  assert.equal(kept, content)
  assert.deepEqual(await tab.run(async () => (await peer.ledger()).entries.map(entry => entry.isVerbatim)), [false, true])
  await tab.close()
})

test('a sealed packet opens for its recipient, and neither a third tab nor the relay can read it', async () => {
  const [one, two, three] = await Promise.all([openPeer(), openPeer(), openPeer()])
  await meet([one, two, three])
  const clear = { content: 'the wages of everybody in the third house: '.repeat(200), name: 'wages-of-march.csv', type: 'payroll-data', quality: { 'mean-accuracy': 0.75 } }
  const init = { ...clear, recipients: [two.id] }
  assert.equal(await one.run(init => codeOf(peer.share(init)), init), 'ERR_NO_KEY')

  for (const tab of [two, three]) {
    const left = await tab.run(async () => (await peer.receiveSealed()).getTime() - Date.now())
    assert.ok(left > 20 * 86_400_000 && left < 91 * 86_400_000, String(left))
  }
  // A second call finds the key still good and publishes nothing.
  assert.equal(await two.run(async () => {
    await peer.receiveSealed()
    return (await peer.ledger()).entries.map(({ packetType, count }) => `${count} ${packetType}`).join()
  }), '1 seal-key')

  const shown = await preview(one, init)
  assert.deepEqual(shown.readers, [two.id])
  assert.equal(shown.packetType, clear.type)
  assert.deepEqual([shown.quality, shown.sealedQuality], [{}, clear.quality])
  assert.equal(shown.sealedBytes, shown.blocks.slice(0, -1).reduce((sum, block) => sum + block.length, 0))
  const cid = await share(one)
  const opened = await two.run(async cid => {
    const { content, ...rest } = await peer.open(cid)
    return { content: new TextDecoder().decode(content), ...rest }
  }, cid)
  assert.deepEqual(opened, { ...clear, author: one.id })
  assert.equal(await three.run(cid => codeOf(peer.open(cid)), cid), 'ERR_NOT_FOR_ME')
  const plain = await one.run(() => peer.share({ type: 'note', content: 'open' }))
  assert.equal(await two.run(cid => codeOf(peer.open(cid)), plain), 'ERR_INVALID_CONTENT')

  // The relay has all of it: it hands the packet on, and its file holds the envelope.
  const refused = await cli(['get', cid, '--relay', relay.http, '-o', '-']).catch(error => error.message)
  assert.match(refused, /is sealed: only its recipients/)
  const listed = await cli(['query', '--relay', relay.http, '--json'])
  assert.match(listed, new RegExp(cid))
  const files = (await readdir(relay.dataDir, { recursive: true, withFileTypes: true })).filter(entry => entry.isFile())
  const stored = Buffer.concat(await Promise.all(files.map(file => readFile(join(file.parentPath, file.name)))))
  assert.ok(stored.includes(shown.blocks[0].subarray(0, 1000)), 'the relay keeps the envelope')
  const wire = Buffer.concat(await sent(one))
  for (const secret of [clear.content.slice(0, 43), clear.name, clear.type, 'mean-accuracy']) {
    for (const [where, bytes] of Object.entries({ refused, listed, stored, wire })) assert.ok(!bytes.includes(secret), `${secret} in ${where}`)
  }
  for (const tab of [one, two, three]) await tab.close()
})

test('the ledger of what left survives a reload and exports, and what the policy refuses is not in it', async () => {
  const tab = await openPeer({ storage: 'indexeddb' })
  const key = `-----BEGIN PRIVATE KEY-----\n${'MC4CAQAwBQYDK2VwBCIEIA'.repeat(3)}\n-----END PRIVATE KEY-----`
  assert.equal(await tab.run(key => codeOf(peer.share({ type: 'note', content: key })), key), 'ERR_REFUSED')
  const cid = await tab.run(email => peer.share({ type: 'note', name: 'memo', content: `write to ${email}` }), SECRETS[0])
  const before = await tab.run(() => peer.ledger())
  assert.deepEqual(before.entries.map(({ cid, packetType, name, findings, readers, isVerbatim }) => ({ cid, packetType, name, findings, readers, isVerbatim })), [
    { cid, packetType: 'note', name: 'memo', findings: { email: 1 }, readers: 'everybody', isVerbatim: false }
  ])
  const { id } = tab
  assert.equal((await reload(tab)).id, id)
  assert.deepEqual(await tab.run(() => peer.ledger()), before)
  const exported = await tab.run(() => peer.exportLedger())
  assert.equal(JSON.parse(exported).entries[0].cid, cid)
  assert.ok(!exported.includes(SECRETS[0]) && !exported.includes('PRIVATE KEY'))
  await tab.close()
})

const tensors = { weight: { dtype: 'f32', shape: [4], data: [0.5, -0.25, 0.125, 1] } }
const shareNoised = (tab, noiseMultiplier) => tab.run(([{ weight }, noiseMultiplier]) => codeOf(peer.shareTensors(
  { weight: { ...weight, data: new Float32Array(weight.data) } },
  { noise: { clipNorm: 1, noiseMultiplier } })), [tensors, noiseMultiplier])
const spent = tab => tab.run(async () => (await peer.ledger()).budget.spent)

test('noise costs budget, and a budget that is spent stays spent after a reload and in another tab', async () => {
  const tab = await openPeer({ storage: 'indexeddb' })
  assert.deepEqual(await tab.run(async () => (await peer.ledger()).budget), { epsilon: 8, delta: 1e-5, spent: 0 })
  const refused = await tab.run(() => codeOf(peer.share({ type: 'note', content: 'no tensors', noise: { clipNorm: 1, noiseMultiplier: 1 } })))
  assert.equal(refused, 'ERR_INVALID_ARGUMENT')
  assert.equal(await spent(tab), 0)
  // With as much noise as signal (Rényi, arXiv 1702.07476 and 2004.00010): 4.73 after one, 7.08 after two, past 8 after three.
  for (const epsilon of [4.73, 7.08]) {
    assert.equal(await shareNoised(tab, 1), 'no error')
    assert.ok(Math.abs(await spent(tab) - epsilon) < 0.01, `${await spent(tab)} is ${epsilon}`)
  }
  assert.equal(await shareNoised(tab, 1), 'ERR_BUDGET')
  const all = await spent(tab)
  await reload(tab)
  assert.equal(await spent(tab), all)
  assert.equal(await shareNoised(tab, 1), 'ERR_BUDGET')
  const second = await openPeer({ storage: 'indexeddb', beside: tab })
  assert.notEqual(second.id, tab.id)
  assert.equal(await shareNoised(second, 1), 'ERR_BUDGET')
  const epsilons = (await tab.run(() => peer.ledger())).entries.map(entry => entry.epsilonAfter)
  assert.deepEqual([epsilons.length, epsilons[1]], [2, all])
  await second.close()
  await tab.close()
})

test('two tabs of a profile book at the same time and nothing is lost, and each has a ledger of its own', async () => {
  const tab = await openPeer({ storage: 'indexeddb' })
  const second = await openPeer({ storage: 'indexeddb', beside: tab })
  const alone = await openPeer({ storage: 'indexeddb' })
  const booked = await Promise.all([tab, second, tab, second, tab, second].map(tab => shareNoised(tab, 8)))
  for (let i = 0; i < 6; i++) booked.push(await shareNoised(alone, 8))
  assert.deepEqual(new Set(booked), new Set(['no error']))
  assert.equal(await spent(tab), await spent(alone))
  const notes = [tab, second]
  const cids = await Promise.all(notes.map((tab, i) => tab.run(i => peer.share({ type: 'note', content: `tab ${i}` }), i)))
  for (const _ of [0, 1]) {
    for (const [i, tab] of notes.entries()) {
      const entries = await tab.run(async () => (await peer.ledger()).entries)
      assert.equal(entries.length, 4)
      assert.deepEqual(entries.filter(entry => entry.packetType === 'note').map(entry => entry.cid), [cids[i]])
    }
    for (const tab of notes) await reload(tab)
  }
  for (const each of [second, tab, alone]) await each.close()
})

/** Reads the text of a record that the first identity of a profile keeps, or writes `text` in its place. */
const record = (tab, name, text) => tab.run(([key, text]) => new Promise((resolve, reject) => {
  const opening = indexedDB.open('chorus/main')
  opening.onerror = () => reject(opening.error)
  opening.onsuccess = () => {
    const transaction = opening.result.transaction('records', 'readwrite')
    const records = transaction.objectStore('records')
    const request = text == null ? records.get(key) : records.put(new TextEncoder().encode(text), key)
    transaction.onabort = () => reject(transaction.error)
    transaction.oncomplete = () => {
      opening.result.close()
      resolve(text ?? new TextDecoder().decode(request.result))
    }
  }
}), [`0/${name}`, text])

test('a damaged ledger is kept aside and said, nothing leaves unnoted, and the next packet begins a new one', async () => {
  const tab = await openPeer({ storage: 'indexeddb' })
  const share = () => tab.run(() => codeOf(peer.share({ type: 'note', content: 'noted' })))
  await share()
  const damaged = (await record(tab, 'journal')).slice(0, -5)
  await record(tab, 'journal', damaged)
  assert.equal(await share(), 'ERR_NOT_KEPT')
  assert.equal(await record(tab, 'journal-damaged'), damaged)
  const shared = () => tab.run(async () => [(await peer.ledger()).entries.length, (await Array.fromAsync(peer.query({ author: peer.id }))).length])
  assert.deepEqual(await shared(), [0, 1])
  assert.equal(await share(), 'no error')
  assert.deepEqual(await shared(), [1, 2])
  await tab.close()
})

test('a ledger that is no UTF-8 any more is damaged, and not read as other words', async () => {
  const tab = await openPeer({ storage: 'indexeddb' })
  const share = () => tab.run(() => codeOf(peer.share({ type: 'note', name: 'wörter.txt', content: 'noted' })))
  await share()
  const cut = await tab.run(() => new Promise((resolve, reject) => {
    const opening = indexedDB.open('chorus/main')
    opening.onerror = () => reject(opening.error)
    opening.onsuccess = () => {
      const store = opening.result.transaction('records', 'readwrite').objectStore('records')
      store.get('0/journal').onsuccess = ({ target: { result: bytes } }) => {
        // The first half of the ö is lost: what is left is JSON still, with another letter in it.
        const at = bytes.indexOf(0xc3)
        store.put(Uint8Array.from([...bytes.slice(0, at), ...bytes.slice(at + 1)]), '0/journal').onsuccess = () => {
          opening.result.close()
          resolve(at)
        }
      }
    }
  }))
  assert.ok(cut > 0)
  assert.deepEqual(await tab.run(() => peer.ledger().catch(({ code, message }) => [code, message])), ['ERR_DAMAGED', 'the stored ledger is damaged: it is not UTF-8'])
  // It is kept aside, and the next packet begins a new one.
  assert.equal(await share(), 'ERR_NOT_KEPT')
  assert.equal(await share(), 'no error')
  assert.equal((await tab.run(() => peer.ledger())).entries.length, 1)
  await tab.close()
})

/** The entries of a journal that the first identity of a profile keeps. */
const journal = async (tab, name) => JSON.parse(await record(tab, name)).entries

/** Lets the next call of `IDBObjectStore.prototype[method]` that names the record throw. */
const failOnce = (tab, method, name) => tab.run(([method, key]) => {
  const real = IDBObjectStore.prototype[method]
  IDBObjectStore.prototype[method] = function (...all) {
    if (!all.includes(key)) return real.apply(this, all)
    IDBObjectStore.prototype[method] = real
    throw new DOMException('the disk does not answer', 'UnknownError')
  }
}, [method, `0/${name}`])

test('a ledger that cannot be read or copied for once is neither lost nor passed by', async () => {
  const tab = await openPeer({ storage: 'indexeddb' })
  const note = content => tab.run(content => codeOf(peer.share({ type: 'note', content })), content)
  const cids = async () => (await journal(tab, 'journal')).map(entry => entry.cid)
  assert.equal(await note('one'), 'no error')
  const [first] = await cids()
  for (const method of ['get', 'put']) {
    await failOnce(tab, method, 'journal')
    assert.equal(await note('not noted'), 'ERR_NOT_KEPT')
    assert.deepEqual(await cids(), [first])
  }
  // A revocation is noted before it leaves as well.
  await failOnce(tab, 'put', 'journal')
  assert.equal(await tab.run(cid => codeOf(peer.revoke(cid)), first), 'ERR_NOT_KEPT')
  assert.equal(await tab.run(cid => codeOf(peer.get(cid)), first), 'no error')
  await tab.run(cid => peer.revoke(cid), first)
  assert.equal(await tab.run(cid => codeOf(peer.get(cid)), first), 'ERR_REVOKED')
  assert.equal((await cids()).length, 2)

  await record(tab, 'journal', '{"version":1')
  await failOnce(tab, 'put', 'journal-damaged')
  assert.equal(await note('two'), 'ERR_NOT_KEPT')
  assert.equal(await tab.run(() => codeOf(peer.ledger())), 'ERR_DAMAGED')
  assert.equal(await note('three'), 'ERR_NOT_KEPT')
  assert.equal(await note('four'), 'no error')
  assert.equal((await cids()).length, 1)
  await tab.close()
})

test('bookings, keys and entries are written to the disk itself', async () => {
  const tab = await Tab.open(browser)
  await tab.page.addInitScript(() => {
    globalThis.__written = []
    const real = IDBDatabase.prototype.transaction
    IDBDatabase.prototype.transaction = function (...all) {
      const transaction = real.apply(this, all)
      if (transaction.mode === 'readwrite') globalThis.__written.push(`${[...transaction.objectStoreNames]} ${transaction.durability}`)
      return transaction
    }
  })
  tab.storage = 'indexeddb'
  await tab.page.goto(`${site.origin}/`)
  await joined(tab)
  assert.equal(await shareNoised(tab, 8), 'no error')
  const written = new Set(await tab.run(() => globalThis.__written))
  assert.deepEqual([...written].filter(how => !how.startsWith('blocks ')).sort(), ['identities strict', 'records strict'])
  await tab.close()
})

test('what a worker searches, sealed or with noise, and opens, the page does by itself where no worker may start', async () => {
  const all = []
  for (const workers of ['started', 'missing', 'forbidden']) {
    const tab = await Tab.open(browser)
    await tab.page.addInitScript(workers => {
      const { Worker: Real } = globalThis
      globalThis.started = 0
      globalThis.Worker = class extends Real {
        constructor (url, options) {
          globalThis.started++
          if (workers === 'forbidden') throw new DOMException('no worker', 'SecurityError')
          super(workers === 'missing' ? '/none.js' : url, options)
        }
      }
    }, workers)
    tab.storage = 'memory'
    await tab.page.goto(`${site.origin}/`)
    await joined(tab)
    all.push(await tab.run(async report => {
      await peer.receiveSealed()
      const cid = await peer.share({ type: 'note', name: 'note.txt', content: report, recipients: [peer.id] })
      const { content, name, type, quality } = await peer.open(cid)
      const given = new Uint8Array(100_000).fill(200)
      given.set(new TextEncoder().encode(' ada.lovelace@example.org '), 50_000)
      const unclean = await codeOf(peer.share({ type: 'file', content: given }))
      const tensors = { w: { dtype: 'f32', shape: [30_000], data: new Float32Array(30_000).fill(0.001) } }
      const noised = await codeOf(peer.shareTensors(tensors, { noise: { clipNorm: 1, noiseMultiplier: 4 } }))
      const { entries, budget } = await peer.ledger()
      return {
        text: new TextDecoder().decode(content), name, type, quality, unclean, left: given[50_001], noised, spent: budget.spent,
        entries: entries.map(({ packetType, bytes, findings }) => ({ packetType, bytes, findings })), areOwn: entries.some(entry => entry.cid === cid), started
      }
    }, report(3000)))
    await tab.close()
  }
  const [first, ...others] = all
  assert.ok(first.text.length > 100_000 && first.text.includes('[email]') && !first.text.includes(SECRETS[0]))
  assert.deepEqual([first.unclean, first.left, first.noised, first.areOwn], ['ERR_UNCLEAN', 'a'.charCodeAt(), 'no error', true])
  assert.ok(first.spent > 0 && first.started >= 4, JSON.stringify([first.spent, first.started]))
  for (const other of others) assert.deepEqual(other, first)
})

test('a second module that does not arrive ends in an error, and the next share loads it', async () => {
  const tab = await Tab.open(browser)
  // Nothing is fetched ahead.
  await tab.page.addInitScript(() => Object.defineProperty(navigator, 'connection', { value: { saveData: true } }))
  tab.storage = 'memory'
  await tab.page.goto(`${site.origin}/`)
  await joined(tab)
  const pattern = '**/chorus_privacy_bg.wasm'
  await tab.page.route(pattern, () => {})
  const share = () => tab.run(() => codeOf(peer.share({ type: 'note', content: 'late' })))
  await tab.run(() => {
    const real = AbortSignal.timeout
    AbortSignal.timeout = ms => {
      globalThis.__waited = ms
      AbortSignal.timeout = real
      return real.call(AbortSignal, 1)
    }
  })
  assert.equal(await share(), 'ERR_LOAD')
  assert.equal(await tab.run(() => globalThis.__waited), 30_000)
  await tab.page.unroute(pattern)
  assert.equal(await share(), 'no error')
  await tab.close()
})

test('what the dashboard learns with others is one line of its ledger, and a file goes through the stages', async () => {
  const tabs = await openMesh(browser, relay, ['0,1,2', '3,4,5'].map(classes => ({ classes, train: 'on' })))
  await Promise.all(tabs.map(tab => tab.exchanges(3)))
  for (const { tab } of tabs) {
    const kept = await record(tab, 'journal-learned')
    const [line, ...others] = JSON.parse(await tab.run(async kept => {
      const { default: init, journalOf } = await import('/chorus_privacy.js')
      await init({ module_or_path: fetch('/chorus_privacy_bg.wasm') })
      return journalOf(undefined, kept)
    }, kept)).entries
    assert.deepEqual([line.packet_type, line.is_routine, others.length], ['weights', true, 0])
    assert.ok(line.count >= 3 && line.bytes > line.count * 50 && line.until > line.at, JSON.stringify(line))
  }
  const [one, two] = tabs
  const cid = await one.share('report.txt', report(1))
  const [line] = (await journal(one.tab, 'journal')).filter(entry => entry.packet_type === 'file')
  assert.deepEqual([line.cid, line.name, line.findings], [cid, 'report.txt', { card: 1, email: 1, iban: 1 }])
  const got = (await two.fetch(cid)).toString()
  for (const secret of SECRETS) assert.ok(!got.includes(secret))
  for (const tab of tabs) await tab.close()
})

test('a profile of the version before keeps its identity', async () => {
  const tab = await Tab.open(browser)
  tab.storage = 'indexeddb'
  await tab.page.goto(`${site.origin}/`)
  await tab.run(() => new Promise((resolve, reject) => {
    const request = indexedDB.open('chorus/main', 1)
    request.onupgradeneeded = () => {
      request.result.createObjectStore('identities').add(new Uint8Array(32).fill(7), 0)
      request.result.createObjectStore('blocks')
    }
    request.onsuccess = () => { request.result.close(); resolve() }
    request.onerror = () => reject(request.error)
  }))
  await joined(tab)
  // The Ed25519 key of this seed as a peer id, as Node's crypto and the libp2p specification make it.
  assert.equal(tab.id, PEER_OF_SEVENS)
  await tab.run(() => peer.share({ type: 'note', content: 'kept' }))
  await reload(tab)
  assert.equal(tab.id, PEER_OF_SEVENS)
  assert.equal((await tab.run(() => peer.ledger())).entries.length, 1)
  await tab.close()
})

const PEER_OF_SEVENS = '12D3KooWRawPbxPtP1eZaJpumGnyWX2DcUyd3RQnydr3eAto4Az7'
