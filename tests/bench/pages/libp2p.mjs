// js-libp2p. The joiner dials, opens a stream and reads: hello, or as much as it asks for.
import { multiaddr } from '@multiformats/multiaddr'
import { start } from '../../lib/js/peer.mjs'

const HELLO = '/bench/hello/1.0.0'
const BULK = '/bench/bulk/1.0.0'
/** Bytes per send. js-libp2p cuts them into frames of 16 KiB. */
const CHUNK = 256 * 1024

const parameters = new URLSearchParams(location.search)

if (parameters.get('role') === 'host') {
  const peer = await start({ relay: parameters.get('relay') })
  const limits = { maxInboundStreams: 64 }
  await peer.node.handle(HELLO, stream => {
    stream.send(new TextEncoder().encode('hello'))
    stream.close()
  }, limits)
  await peer.node.handle(BULK, async stream => {
    for await (const message of stream) {
      const size = Number(new TextDecoder().decode(message.subarray()))
      const bytes = new Uint8Array(CHUNK).fill(7)
      for (let sent = 0; sent < size; sent += CHUNK) {
        if (!stream.send(bytes.subarray(0, Math.min(CHUNK, size - sent)))) await stream.onDrain()
      }
      break
    }
    await stream.close()
  }, limits)
  globalThis.ready(await peer.address())
} else {
  try {
    const peer = await start()
    const connection = await peer.node.dial(multiaddr(parameters.get('target')))
    const stream = await connection.newStream(HELLO)
    stream.addEventListener('message', () => {
      if (connection.limits != null) globalThis.failed?.(new Error('not direct'))
      globalThis.joined?.()
      globalThis.transfer = async size => {
        const bulk = await connection.newStream(BULK)
        let got = 0
        const all = new Promise((resolve, reject) => {
          bulk.addEventListener('message', event => {
            got += event.data.byteLength
            if (got >= size) resolve(got)
          })
          bulk.addEventListener('close', event => reject(event.error ?? new Error(`ended after ${got} of ${size} bytes`)))
        })
        bulk.send(new TextEncoder().encode(String(size)))
        await all
        bulk.close().catch(() => {})
        return got
      }
      globalThis.ready?.()
    })
  } catch (error) {
    if (globalThis.failed) globalThis.failed(error)
    else throw error
  }
}
