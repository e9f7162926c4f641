// A peer that heeds no revocation (js-libp2p, by hand) offers a revoked packet again: the relay refuses it, also after a
// restart.

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'

import { bytesOfCid } from '../lib/dht.mjs'
import { start } from '../lib/js/peer.mjs'
import { Relay, cli } from '../lib/relay.mjs'
import { PATIENCE_MS, within } from '../lib/wait.mjs'

/** Kinds of requests and responses. Source: core/src/node/message.rs. */
const [GET, OFFER, BLOCK, STORED, REFUSED] = [1, 3, 1, 4, 5]

let relay
let peer
let dir
before(async () => {
  [relay, peer, dir] = await Promise.all([Relay.start(), start(), mkdtemp(join(tmpdir(), 'chorus-author-'))])
})
after(async () => {
  await peer?.close()
  await relay?.close()
  await rm(dir, { recursive: true, force: true })
})

/** Sends the relay a request; resolves to its response. Each is its length, 32 bits big-endian, and its bytes. */
async function ask (request) {
  const exchange = async () => {
    const stream = await peer.open(await peer.dial(relay.ws), '/chorus/main/block/1.0.0')
    const length = new DataView(new ArrayBuffer(4))
    length.setUint32(0, request.length)
    await stream.write(Buffer.concat([new Uint8Array(length.buffer), request]))
    const parts = []
    for (let part; (part = await stream.read()) !== null;) parts.push(part)
    return Buffer.concat(parts).subarray(4)
  }
  return await within(exchange(), PATIENCE_MS, 'the relay answers')
}

test('a revoked packet that is offered again is refused, before and after a restart', async () => {
  const file = join(dir, 'slip.txt')
  await writeFile(file, 'regretted')
  const own = ['--relay', relay.http, '--data-dir', join(dir, 'own')]
  const cid = (await cli(['share', file, ...own])).trim()
  const got = await ask(Buffer.concat([[GET], bytesOfCid(cid), [0, 0]].map(part => Buffer.from(part))))
  assert.equal(got[0], BLOCK)
  // A block and an offered packet are written alike.
  const offer = Buffer.concat([Buffer.from([OFFER]), got.subarray(1)])
  assert.equal((await ask(offer))[0], STORED)

  await cli(['revoke', cid, ...own])
  const refused = async () => {
    const answer = await ask(offer)
    assert.equal(answer[0], REFUSED)
    assert.match(String(answer.subarray(2)), /its author revoked it/)
    assert.doesNotMatch(await cli(['query', '--relay', relay.http]), new RegExp(cid))
  }
  await refused()
  for (const end of ['stop', 'kill']) {
    await relay[end]()
    await relay.start()
    await refused()
  }
})
