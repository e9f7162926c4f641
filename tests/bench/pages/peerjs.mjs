// PeerJS. The host says hello to whoever connects.
import { Peer } from 'peerjs'

const parameters = new URLSearchParams(location.search)
const options = { host: '127.0.0.1', port: Number(parameters.get('port')), path: '/', config: { iceServers: [] } }

if (parameters.get('role') === 'host') {
  const peer = new Peer(parameters.get('id'), options)
  peer.on('open', id => globalThis.ready(id))
  peer.on('connection', connection => connection.on('open', () => connection.send('hello')))
} else {
  // An id of its own spares it the request for one.
  const peer = new Peer(crypto.randomUUID(), options)
  peer.on('error', error => globalThis.failed?.(error))
  peer.on('open', () => {
    const connection = peer.connect(parameters.get('target'))
    connection.on('data', () => globalThis.joined())
  })
}
