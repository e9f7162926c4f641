// Chorus by its JavaScript API. The joiner finds the host by itself, opens a stream and reads: hello, or what it asks for.

import { join } from 'chorus-mesh'

const HELLO = '/bench/hello/1.0.0'
const BULK = '/bench/bulk/1.0.0'
/** Bytes per write. */
const CHUNK = 256 * 1024

const parameters = new URLSearchParams(location.search)
const relay = parameters.get('relay')
const target = parameters.get('target')

try {
  const peer = await join({ relay, storage: 'memory' })
  if (parameters.get('role') === 'host') await host(peer)
  else await joiner(peer)
} catch (error) {
  if (globalThis.failed) globalThis.failed(error)
  else throw error
}

async function host (peer) {
  await peer.streams.handle(HELLO, async stream => {
    await stream.write(new TextEncoder().encode('hello'))
    await stream.closeWrite()
  })
  await peer.streams.handle(BULK, async stream => {
    const size = Number(new TextDecoder().decode(await stream.read()))
    const bytes = new Uint8Array(CHUNK).fill(7)
    for (let sent = 0; sent < size; sent += CHUNK) {
      await stream.write(bytes.subarray(0, Math.min(CHUNK, size - sent)))
    }
    await stream.closeWrite()
  })
  // Shares objects of random bytes and hands their ids out. The browser gives 64 KiB of randomness per call.
  globalThis.shareObjects = async (count, size) => {
    const cids = []
    for (let k = 0; k < count; k++) {
      const content = new Uint8Array(size)
      for (let at = 0; at < size; at += 65536) crypto.getRandomValues(content.subarray(at, Math.min(at + 65536, size)))
      // So many bytes of noise hold what reads as an e-mail address now and then: nothing is to be asked about it.
      cids.push(await peer.share({ type: 'file', content, verbatim: true }))
    }
    return cids
  }
  globalThis.ready(peer.id)
}

async function joiner (peer) {
  await directTo(peer, target)
  const stream = await peer.streams.open(target, HELLO)
  if (await stream.read() === null) throw new Error('no hello')
  globalThis.joined?.()
  globalThis.transfer = async size => {
    const bulk = await peer.streams.open(target, BULK)
    await bulk.write(new TextEncoder().encode(String(size)))
    let got = 0
    for (let bytes; (bytes = await bulk.read()) !== null;) got += bytes.length
    if (got !== size) throw new Error(`ended after ${got} of ${size} bytes`)
    bulk.closeWrite().catch(() => {})
    return got
  }
  globalThis.getObjects = async cids => {
    const sizes = await Promise.all(cids.map(async cid => (await peer.get(cid)).content.byteLength))
    return sizes.reduce((sum, size) => sum + size, 0)
  }
  globalThis.ready?.()
}

/** Resolves once the connection to `id` is direct. */
function directTo (peer, id) {
  return new Promise((resolve, reject) => {
    const look = found => {
      if (found.id !== id || found.kind !== 'direct') return
      stop()
      resolve()
    }
    const stop = peer.on('peer', look)
    peer.peers().then(all => all.forEach(look), reject)
  })
}
