// Run where packets are lost: two tabs open streams one after another, each on the SCTP stream that the last one has just left.
// Prints how many streams there were, and for how many the listener had to make a channel anew.

import { Stage } from './interop.mjs'

/** Who opens them, `ours` or `js`. Ends after so many channels were made anew, or so many streams, whatever comes first. */
const [OPENER, ANEW, STREAMS] = process.argv.slice(2)

const stage = await Stage.open()
const [one, two] = await Promise.all([OPENER === 'js' ? stage.jsInTab() : stage.ours(), stage.ours()])
await two.run(() => {
  globalThis.anew = 0
  const { createDataChannel } = RTCPeerConnection.prototype
  RTCPeerConnection.prototype.createDataChannel = function (label, options) {
    if (options?.negotiated) anew++
    return createDataChannel.call(this, label, options)
  }
})
await one.call('dial', await two.call('address'))
const peer = await two.call('id')
let streams = 0
let anew = 0
while (streams < Number(STREAMS) && anew < Number(ANEW)) {
  for (let k = 0; k < 10; k++, streams++) await one.call('closes', peer)
  anew = await two.run(() => anew)
}
await one.close()
await two.close()
await stage.close()
console.log(JSON.stringify({ streams, anew }))
process.exit(0)
