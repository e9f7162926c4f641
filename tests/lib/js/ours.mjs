// A Chorus peer as one side of the interop suite. Not bundled: chorus.js comes from the relay.
import { side } from '/scenarios.mjs'

const parameters = new URLSearchParams(location.search)
const { join } = await import(`${parameters.get('http')}/chorus.js`)
const peer = await join({ relay: parameters.get('http'), storage: 'memory' })
const address = async () => `${parameters.get('relay')}/p2p-circuit/webrtc/p2p/${peer.id}`
globalThis.side = await side({ id: peer.id, address, streams: peer.streams })
document.body.dataset.ready = 'true'
