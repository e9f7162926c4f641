// What a packet asks for is kept: order, conditions, revocation, replacement, among real tabs.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { Tab, launch } from '../lib/chromium.mjs'
import { Relay } from '../lib/relay.mjs'
import { html, serve } from '../lib/serve.mjs'

let browser
let relay
let site
before(async () => {
  [browser, relay] = await Promise.all([launch(), Relay.start()])
  site = await serve({ '/': html('data:text/javascript,') })
})
after(async () => {
  await browser?.close()
  await site?.close()
  await relay?.close()
})

/** Makes the page of `tab` a peer in `globalThis.peer` that remembers what it was told, `[event, value]`, in `globalThis.told`. */
async function join (tab, storage = 'memory') {
  await tab.page.goto(`${site.origin}/`)
  tab.id = await tab.run(async ([relay, storage]) => {
    const { join } = await import(`${relay}/chorus.js`)
    globalThis.told = []
    globalThis.waiting = new Set()
    globalThis.peer = await join({ relay, storage })
    for (const event of ['packet', 'due', 'undue', 'revoked']) {
      peer.on(event, value => {
        told.push([event, value])
        waiting.forEach(look => look())
      })
    }
    return peer.id
  }, [relay.http, storage])
  return tab
}

const open = async () => await join(await Tab.open(browser))

/** Resolves once `tab` was told `event` of packet `cid`. */
const told = (tab, event, cid) => tab.run(([event, cid]) => new Promise(resolve => {
  const look = () => {
    const found = globalThis.told.find(([name, value]) => name === event && value.cid === cid)
    if (found) resolve(found[1])
  }
  waiting.add(look)
  look()
}), [event, cid], 60_000, `${event} of ${cid}`)

/** The packets of type `type` of which `tab` was told `event`, in order. */
const order = (tab, event, type = 'step') => tab.run(
  ([event, type]) => globalThis.told.filter(([name, value]) => name === event && value.type === type).map(([, value]) => value.cid),
  [event, type])

const share = (tab, content, instructions, type = 'step') => tab.run(
  ([content, instructions, type]) => peer.share({ type, content, instructions }), [content, instructions, type])

const listed = (tab, filter) => tab.run(async filter => {
  const cids = []
  for await (const packet of peer.query(filter)) cids.push(packet.cid)
  return cids
}, filter)

test('a packet that comes before its predecessor is due only after it', async () => {
  // The predecessor is signed while nobody can hear of it.
  const absent = await Tab.open(browser)
  await join(absent, 'indexeddb')
  // What the first share needs comes from the relay too.
  await absent.run(async () => (await peer.preview({ type: 'step', content: 'first' })).discard())
  await relay.kill()
  const first = await share(absent, 'first')
  await absent.run(() => peer.close())
  await relay.start()

  const [author, reader] = await Promise.all([open(), open()])
  const second = await share(author, 'second', { order: { after: { cid: first } } })
  const third = await share(author, 'third', { order: { after: { cid: second } } })
  const free = await share(author, 'free')
  await Promise.all([second, third].map(cid => told(reader, 'packet', cid)))
  await told(reader, 'due', free)
  assert.deepEqual(await order(reader, 'due'), [free], 'known, and not due')
  assert.ok((await listed(reader, { type: 'step' })).includes(second))

  await join(absent, 'indexeddb')
  await Promise.all([reader, author].map(tab => told(tab, 'due', third)))
  for (const tab of [reader, author]) assert.deepEqual(await order(tab, 'due'), [free, first, second, third])
  await told(absent, 'due', third)
  const again = await order(absent, 'due')
  assert.ok(!again.includes(first), 'its own was due before the reload')
  assert.ok(again.indexOf(second) < again.indexOf(third))
  await Promise.all([absent, author, reader].map(tab => tab.close()))
})

test('a threshold waits for what the page measures, a period comes again, and who waits for them waits on', async () => {
  const [author, reader] = await Promise.all([open(), open()])
  const gate = await share(author, 'gate', { when: 'performance_threshold_0.8' }, 'wait')
  const behind = await share(author, 'behind', { order: { after: { cid: gate } } }, 'wait')
  const often = await share(author, 'often', { when: { periodic: { secs: 1 } } }, 'wait')
  await told(reader, 'packet', behind)
  await told(reader, 'due', often)
  await reader.run(() => peer.measure('performance', 0.79))
  assert.deepEqual(await order(reader, 'due', 'wait'), [often])
  await reader.run(() => peer.measure('performance', 0.81))
  await told(reader, 'due', behind)
  assert.deepEqual(await order(reader, 'due', 'wait'), [often, gate, behind])
  assert.deepEqual(await order(author, 'due', 'wait'), [often], 'each page measures for itself')
  const code = await reader.run(() => peer.measure('performance', NaN).then(() => 'measured', error => error.code))
  assert.equal(code, 'ERR_INVALID_ARGUMENT')
  // Ten seconds are the shortest period there is.
  const round = await reader.run(cid => new Promise(resolve => {
    const look = () => {
      const found = globalThis.told.find(([name, value]) => name === 'due' && value.cid === cid && value.round === 1)
      if (found) resolve(found[1].round)
    }
    waiting.add(look)
    look()
  }), often)
  assert.equal(round, 1)
  await author.close()
  await reader.close()
})

test('what its author revokes disappears everywhere, and only its author can', async () => {
  const [author, reader] = await Promise.all([open(), open()])
  const slip = await share(author, 'x'.repeat(600_000), undefined, 'slip')
  await told(reader, 'packet', slip)
  await reader.run(cid => peer.pin(cid), slip)
  const behind = await share(author, 'behind', { when: 'never_threshold_1', order: { after: { cid: slip } } }, 'slip')
  await told(reader, 'packet', behind)
  const refused = await reader.run(cid => peer.revoke(cid).then(() => 'revoked', error => error.code), slip)
  assert.equal(refused, 'ERR_NOT_AUTHOR')
  const by = await author.run(cid => peer.revoke(cid), slip)
  assert.equal((await told(reader, 'revoked', slip)).by, by)
  assert.equal((await told(reader, 'undue', behind)).reason, `its predecessor ${slip} will never be due`)
  for (const tab of [author, reader]) {
    assert.ok(!(await listed(tab, { type: 'slip' })).includes(slip))
    const code = await tab.run(cid => peer.get(cid).then(() => 'got it', error => error.code), slip)
    assert.equal(code, 'ERR_REVOKED')
  }
  // Who comes later hears of the revocation and not of the packet.
  const late = await open()
  await Promise.all([by, behind].map(cid => told(late, 'packet', cid)))
  assert.deepEqual(await listed(late, { type: 'slip' }), [behind])
  await Promise.all([author, reader, late].map(tab => tab.close()))
})

test('a newer packet of the same author is listed in place of the old', async () => {
  const [author, reader] = await Promise.all([open(), open()])
  const old = await share(author, 'one', undefined, 'draft')
  const newer = await share(author, 'two', { how: 'replace', order: { after: { cid: old } } }, 'draft')
  await told(reader, 'due', newer)
  assert.deepEqual(await order(reader, 'due', 'draft'), [old, newer])
  assert.deepEqual(await listed(reader, { type: 'draft' }), [newer])
  assert.deepEqual((await listed(reader, { type: 'draft', superseded: true })).sort(), [old, newer].sort())
  await author.close()
  await reader.close()
})

test('what is pinned is there after a reload, with its content', async () => {
  const author = await open()
  const keeper = await join(await Tab.open(browser), 'indexeddb')
  const cid = await share(author, 'x'.repeat(400_000), undefined, 'keepsake')
  await told(keeper, 'packet', cid)
  await keeper.run(cid => peer.pin(cid), cid)
  await keeper.run(() => peer.close())
  await author.close()
  await join(keeper, 'indexeddb')
  await relay.kill()
  const size = await keeper.run(async cid => (await peer.get(cid)).content.length, cid)
  assert.equal(size, 400_000)
  await keeper.run(cid => peer.unpin(cid), cid)
  await relay.start()
  await keeper.close()
})
