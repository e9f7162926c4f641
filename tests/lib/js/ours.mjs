// A Chorus peer as one side of the interop suite. Not bundled: chorus.js comes from the relay.
import { side } from '/scenarios.mjs'

const parameters = new URLSearchParams(location.search)
const { join } = await import(`${parameters.get('http')}/chorus.js`)
const peer = await join({ relay: parameters.get('http'), storage: 'memory' })
/** Resolves to the address under which others reach this peer, once the relay granted a reservation. */
const address = () => new Promise((resolve, reject) => {
  const wanted = `/p2p-circuit/webrtc/p2p/${peer.id}`
  const look = async () => {
    if (!(await peer.streams.addresses()).some(address => address.endsWith(wanted))) return
    stop()
    resolve(`${parameters.get('relay')}${wanted}`)
  }
  const stop = peer.on('status', () => { look().catch(reject) })
  look().catch(reject)
})
globalThis.side = await side({ id: peer.id, address, streams: peer.streams })
document.body.dataset.ready = 'true'
