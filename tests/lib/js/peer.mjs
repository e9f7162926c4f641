// A js-libp2p peer with the same face as `peer.streams` of Chorus, for tabs and for Node: the interop suite drives both
// sides with the same scenarios.

import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { byteStream } from '@libp2p/utils'
import { webRTC } from '@libp2p/webrtc'
import { webSockets } from '@libp2p/websockets'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

/**
 * Starts a peer.
 *
 * @param {{ relay?: string, sendQueue?: number }} options `relay`: multiaddr of the relay to listen through; a peer that
 *   only dials has none. `sendQueue`: bytes that a stream hands to its data channel at once, 2 MiB by default.
 *   `openAgainMs`: opens a stream once more that the other has not agreed to within so many ms; never by default.
 */
export async function start ({ relay, sendQueue, openAgainMs } = {}) {
  const node = await createLibp2p({
    addresses: { listen: relay == null ? [] : ['/webrtc', `${relay}/p2p-circuit`] },
    transports: [
      webSockets(),
      // No third-party server: both peers are on one host.
      webRTC({ rtcConfiguration: { iceServers: [] }, dataChannel: { maxBufferedAmount: sendQueue } }),
      circuitRelayTransport()
    ],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify(), ping: ping() },
    // Browsers' default refuses loopback and plain ws.
    connectionGater: { denyDialMultiaddr: () => false }
  })

  return {
    node,
    id: node.peerId.toString(),

    /** Resolves to the address under which browsers reach this peer, once the relay granted a reservation. */
    address: () => new Promise(resolve => {
      const look = () => {
        const found = node.getMultiaddrs().map(String).find(addr => addr.includes('/p2p-circuit/webrtc'))
        if (found == null) return
        node.removeEventListener('self:peer:update', look)
        resolve(found)
      }
      node.addEventListener('self:peer:update', look)
      look()
    }),

    /** Resolves to the peer's id. */
    dial: async addr => (await node.dial(multiaddr(addr))).remotePeer.toString(),

    /** Opens a stream on any connection to the peer, a circuit as well. */
    openAnyhow: async (peerId, protocol) => {
      const connection = node.getConnections().find(connection => connection.remotePeer.toString() === peerId)
      if (connection == null) throw new Error(`no connection to ${peerId}`)
      return face(await connection.newStream(protocol, { runOnLimitedConnection: true }))
    },

    /** Resolves to the round-trip time in ms. */
    ping: async peerId => await node.services.ping.ping(direct(node, peerId).remoteAddr),

    open: async (peerId, protocol) => {
      const open = options => direct(node, peerId).newStream(protocol, options)
      if (openAgainMs == null) return face(await open())
      const signal = AbortSignal.timeout(openAgainMs)
      return face(await open({ signal }).catch(error => {
        if (!signal.aborted) throw error
        return open()
      }))
    },

    handle: async (protocol, fn) => {
      await node.handle(protocol, (stream, connection) => {
        Promise.resolve(fn(face(stream), connection.remotePeer.toString())).catch(() => {})
      }, { maxInboundStreams: 64 })
      return () => node.unhandle(protocol)
    },

    connections: async () => node.getConnections().map(connection => ({
      peer: connection.remotePeer.toString(),
      kind: connection.limits != null ? 'relayed' : 'direct',
      addr: connection.remoteAddr.toString()
    })),

    close: () => node.stop()
  }
}

/**
 * Send queue of the interop suite in bytes: NOT js-libp2p's default, which is 2 MiB. With the default a first burst can be
 * more than the kernel takes: Chromium drops 250 to 350 packets (`packetsDiscardedOnSend`), its SCTP resends about 20 of
 * them per timeout, 10 MiB take 8 to 13 s, and js-libp2p's own monitor of connections may end the connection. Seen in 5 of
 * 10 echoes of a tab of js-libp2p with a tab of the same browser (2 of 5 with us, 3 of 5 with itself), in none of 18
 * between two browsers, and then again on a busy host.
 */
export const SEND_QUEUE = 64 * 1024

/**
 * `openAgainMs` of the interop suite on Node: node-datachannel gives a new data channel the number of one that it has closed
 * while Chromium still closes it, and nobody answers on the new one. Of 1,200 calls of `twelve` and `halfClose` 16
 * failed so with js-libp2p in the tab, and 3 with Chorus.
 */
export const OPEN_AGAIN_MS = 3_000

/** Returns the connection that is no circuit. */
function direct (node, peerId) {
  const all = node.getConnections().filter(connection => connection.remotePeer.toString() === peerId)
  const found = all.find(connection => connection.direct && connection.limits == null)
  if (found == null) throw new Error(`no direct connection to ${peerId} among ${all.map(c => c.remoteAddr).join(' ')}`)
  return found
}

/** Bytes that may wait to be read. js-libp2p does not hold a sender back and resets above 4 MiB; an echo gets 10 MiB. */
const READ_BUFFER = 32 * 1024 * 1024

/** A js-libp2p stream with the face of ours. */
function face (stream) {
  stream.maxReadBufferLength = READ_BUFFER
  const bytes = byteStream(stream, { maxBufferSize: READ_BUFFER })
  return {
    /** Resolves to bytes, or to null at the end; rejects after a reset. */
    read: async () => {
      const read = await bytes.read()
      // A reset between two reads looks like an end to byteStream.
      if (read === null && (stream.status === 'reset' || stream.status === 'aborted')) throw new Error('the stream was reset')
      return read === null ? null : read.subarray()
    },
    write: data => bytes.write(data),
    closeWrite: () => stream.close(),
    reset: async () => stream.abort(new Error('reset by the test'))
  }
}
