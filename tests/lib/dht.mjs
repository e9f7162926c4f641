// What a relay's DHT knows, asked by hand: Kademlia's GET_PROVIDERS (libp2p specs, `kad-dht/README.md`).

import { start } from './js/peer.mjs'
import { PATIENCE_MS, within } from './wait.mjs'

const GET_PROVIDERS = 3
const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567'
const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'

/** The binary form of a content id: base32 without padding, after the letter that says so. */
export function bytesOfCid (cid) {
  const bits = [...cid.slice(1)].map(letter => BASE32.indexOf(letter).toString(2).padStart(5, '0')).join('')
  return Buffer.from(bits.match(/.{8}/g).map(byte => parseInt(byte, 2)))
}

/** The binary form of an Ed25519 peer's id: base58. */
function bytesOfPeer (id) {
  const number = [...id].reduce((sum, letter) => sum * 58n + BigInt(BASE58.indexOf(letter)), 0n)
  return Buffer.from(number.toString(16).padStart(76, '0'), 'hex')
}

/** Resolves once the relay names every one of `peers` (ids) as having the packet `cid`. */
export async function provided (relay, cid, peers) {
  const key = bytesOfCid(cid)
  const message = Buffer.from([1 << 3, GET_PROVIDERS, 2 << 3 | 2, key.length, ...key])
  const request = Buffer.from([message.length, ...message])
  const wanted = peers.map(bytesOfPeer)
  const asker = await start()
  let named = 0
  const ask = async () => {
    const to = await asker.dial(relay.ws)
    while (named < wanted.length) {
      const stream = await asker.open(to, '/chorus/main/kad/1.0.0')
      await stream.write(request)
      await stream.closeWrite()
      const parts = []
      for (let part; (part = await stream.read()) !== null;) parts.push(part)
      const answer = Buffer.concat(parts)
      named = wanted.filter(id => answer.includes(id)).length
    }
  }
  try {
    await within(ask(), PATIENCE_MS, () => `the relay names ${named} of ${peers.length} as having ${cid}`)
  } finally {
    named = Infinity
    await asker.close()
  }
}
