// What two peers do to each other's streams, written once against the face that `peer.streams` of Chorus and `peer.mjs`
// of js-libp2p share: open, read, write, closeWrite, reset, handle. Runs in tabs and on Node.

export const ECHO = '/chorus-test/echo/1.0.0'
export const AFTER_END = '/chorus-test/after-end/1.0.0'
export const RESETTER = '/chorus-test/resetter/1.0.0'
export const WATCHER = '/chorus-test/watcher/1.0.0'

const now = () => performance.now()

/** Lets `streams` serve the four protocols of the scenarios. */
export async function serve (streams) {
  const watched = []
  const waiting = []
  const report = how => { (waiting.shift() ?? (value => watched.push(value)))(how) }

  await streams.handle(ECHO, async stream => {
    for (let bytes; (bytes = await stream.read()) !== null;) await stream.write(bytes)
    await stream.closeWrite()
  })
  // Answers only once the other side has closed its half, with the number of bytes it got.
  await streams.handle(AFTER_END, async stream => {
    let length = 0
    for (let bytes; (bytes = await stream.read()) !== null;) length += bytes.length
    await stream.write(new TextEncoder().encode(String(length)))
    await stream.closeWrite()
  })
  await streams.handle(RESETTER, async stream => {
    await stream.read()
    await stream.reset()
  })
  // Says how an inbound stream ended: 'end' or 'reset'.
  await streams.handle(WATCHER, async stream => {
    try {
      await stream.write(new Uint8Array([1]))
      while (await stream.read() !== null);
      report('end')
      await stream.closeWrite()
    } catch {
      report('reset')
    }
  })
  return {
    /** Resolves to how the next stream of WATCHER ended. */
    watched: () => watched.length > 0 ? watched.shift() : new Promise(resolve => waiting.push(resolve))
  }
}

/** Sends `size` bytes and reads them back; throws where they differ. Resolves to the time in ms. */
export async function echo (streams, peer, size) {
  const sent = pattern(size, 7)
  const start = now()
  const stream = await streams.open(peer, ECHO)
  const write = async () => {
    for (let at = 0; at < size; at += 65536) await stream.write(sent.subarray(at, at + 65536))
    await stream.closeWrite()
  }
  const read = async () => {
    let at = 0
    for (let bytes; (bytes = await stream.read()) !== null;) {
      for (let i = 0; i < bytes.length; i++) {
        if (bytes[i] !== sent[at + i]) throw new Error(`byte ${at + i} of ${size} came back changed`)
      }
      at += bytes.length
    }
    if (at !== size) throw new Error(`${at} of ${size} bytes came back`)
  }
  await Promise.all([write(), read()])
  return now() - start
}

/** Twelve streams at once, opened before any is answered; each echoes 100 kB of its own. */
export async function twelve (streams, peer) {
  await Promise.all(Array.from({ length: 12 }, async (_, index) => {
    const sent = pattern(100_000, index + 1)
    const stream = await streams.open(peer, ECHO)
    await stream.write(sent)
    await stream.closeWrite()
    const got = await readAll(stream)
    if (got.length !== sent.length || got.some((byte, i) => byte !== sent[i])) {
      throw new Error(`stream ${index} of 12 got ${got.length} other bytes back`)
    }
  }))
}

/** Closes its half, then still reads the answer. Resolves to the answer. */
export async function halfClose (streams, peer) {
  const stream = await streams.open(peer, AFTER_END)
  await stream.write(pattern(40_000, 3))
  await stream.closeWrite()
  return new TextDecoder().decode(await readAll(stream))
}

/** The other side resets: reading must fail, not end. Resolves to 'reset' or 'end'. */
export async function isReset (streams, peer) {
  const stream = await streams.open(peer, RESETTER)
  try {
    await stream.write(new Uint8Array([1]))
    while (await stream.read() !== null);
    return 'end'
  } catch {
    return 'reset'
  }
}

/** This side resets a stream on which the other side waits. */
export async function resets (streams, peer) {
  const stream = await streams.open(peer, WATCHER)
  await stream.read()
  await stream.reset()
}

/** Opens, says a word, closes, reads to the end. Resolves to the time in ms from closing to having it all closed. */
export async function closes (streams, peer) {
  const stream = await streams.open(peer, ECHO)
  await stream.write(new Uint8Array([1, 2, 3]))
  if (await stream.read() === null) throw new Error('ended before it was closed')
  const start = now()
  await Promise.all([stream.closeWrite(), readAll(stream)])
  return now() - start
}

/** Resolves to the best of three round-trip times in ms, and to the slowest time one whole call took. */
export async function ping (streams, peer) {
  let rtt = Infinity
  let slowest = 0
  for (let i = 0; i < 3; i++) {
    const start = now()
    rtt = Math.min(rtt, await streams.ping(peer))
    slowest = Math.max(slowest, now() - start)
  }
  return { rtt, slowest }
}

async function readAll (stream) {
  const parts = []
  for (let bytes; (bytes = await stream.read()) !== null;) parts.push(bytes)
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/** `size` bytes that differ along the way and between seeds. */
export function pattern (size, seed) {
  const bytes = new Uint8Array(size)
  for (let i = 0, x = seed; i < size; i++) {
    x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff
    bytes[i] = x >> 16
  }
  return bytes
}

/**
 * One side of the suite: what the tests call on it, in this process or from outside a tab.
 *
 * @param {{ id: string, address: () => Promise<string>, streams: object }} peer
 */
export async function side ({ id, address, streams }) {
  const served = await serve(streams)
  return {
    id: async () => id,
    address,
    dial: addr => streams.dial(addr),
    connections: () => streams.connections(),
    ping: peer => ping(streams, peer),
    echo: (peer, size) => echo(streams, peer, size),
    twelve: peer => twelve(streams, peer),
    halfClose: peer => halfClose(streams, peer),
    isReset: peer => isReset(streams, peer),
    resets: peer => resets(streams, peer),
    closes: peer => closes(streams, peer),
    watched: () => served.watched()
  }
}
