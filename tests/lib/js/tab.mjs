// A js-libp2p peer as one side of the interop suite, bundled for a tab.
import { SEND_QUEUE, start } from './peer.mjs'
import { side } from './scenarios.mjs'

const parameters = new URLSearchParams(location.search)
const peer = await start({ relay: parameters.get('relay'), sendQueue: SEND_QUEUE })
globalThis.side = await side({ id: peer.id, address: peer.address, streams: peer })
document.body.dataset.ready = 'true'
