// A js-libp2p peer that sends what no honest peer sends.
import { start } from './peer.mjs'
import { pattern } from './scenarios.mjs'

/** Time in ms after which a stream that the victim neither answers nor resets is given up. */
const GIVE_UP_MS = 2_000

const flood = new Uint8Array(300_000).fill(0xff)
/** What is written to a fresh stream of each protocol. */
const PAYLOADS = {
  nothing: new Uint8Array(0),
  'one zero': new Uint8Array([0]),
  'an endless varint': new Uint8Array(64).fill(0xff),
  'a length of 4 GiB and 16 bytes': new Uint8Array([0xff, 0xff, 0xff, 0xff, ...new Uint8Array(16)]),
  'a length of 2 GiB as a varint': new Uint8Array([0xff, 0xff, 0xff, 0xff, 0x07, 1, 2, 3]),
  'a length that is cut short': new Uint8Array([0, 0, 1, 0, 9, 9, 9]),
  'random bytes': pattern(2_000, 99),
  'many random bytes': pattern(100_000, 98),
  'a flood of ones': flood
}

const parameters = new URLSearchParams(location.search)
const peer = await start({ relay: parameters.get('relay') })

globalThis.attacker = {
  id: peer.id,
  dial: addr => peer.dial(addr),
  /** Sends every payload on a stream of its own; resolves to how many streams were opened and how they ended. */
  async attack (victim, protocols) {
    const ends = { opened: 0, refused: 0, answered: 0, reset: 0, silent: 0 }
    for (const protocol of protocols) {
      for (const bytes of Object.values(PAYLOADS)) {
        let stream
        try {
          stream = await peer.openAnyhow(victim, protocol)
        } catch {
          ends.refused++
          continue
        }
        ends.opened++
        let timer
        const silence = new Promise(resolve => { timer = setTimeout(resolve, GIVE_UP_MS, 'silent') })
        const exchange = async () => {
          try {
            if (bytes.length > 0) await stream.write(bytes)
            await stream.closeWrite()
            while (await stream.read() !== null);
            return 'answered'
          } catch {
            return 'reset'
          }
        }
        const end = await Promise.race([exchange(), silence])
        clearTimeout(timer)
        ends[end]++
        await stream.reset()
      }
    }
    return ends
  }
}
document.body.dataset.ready = 'true'
