// What a tab sends to other tabs: every message of every data channel, put together again to the bytes of each stream.

/** Runs in the page before its scripts: keeps a copy of whatever is sent on a data channel, and tells when it was. */
export function rememberSent () {
  const all = new Map()
  const waiting = new Set()
  const send = RTCDataChannel.prototype.send
  RTCDataChannel.prototype.send = function (data) {
    const bytes = ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data)
    if (!all.has(this)) all.set(this, [])
    // A copy: the view is into the memory of the wasm.
    all.get(this).push(bytes.slice())
    for (const look of waiting) look()
    return send.call(this, data)
  }
  globalThis.__hasSent = (protocol, text) => new Promise(resolve => {
    const decoder = new TextDecoder('latin1')
    const latin = messages => messages.map(bytes => decoder.decode(bytes)).join('')
    const look = () => {
      if (!Array.from(all.values(), latin).some(stream => stream.includes(protocol) && stream.includes(text))) return
      waiting.delete(look)
      resolve()
    }
    waiting.add(look)
    look()
  })
  let marked
  globalThis.__mark = () => { marked = new Map(Array.from(all, ([channel, messages]) => [channel, messages.length])) }
  globalThis.__sent = isBefore => Array.from(all, async ([channel, sent]) => {
    const messages = isBefore ? sent.slice(0, marked.get(channel) ?? 0) : sent
    const url = await new Promise(resolve => {
      const reader = new FileReader()
      reader.onload = () => resolve(reader.result)
      reader.readAsDataURL(new Blob(messages))
    })
    return url.slice(url.indexOf(',') + 1)
  })
}

/** Resolves once `tab` has said on a data channel that it wants to hear what is shared in the network. */
export const subscribed = tab => tab.run(() => globalThis.__hasSent('/meshsub/', 'chorus/main/packets/1'), null, 30_000, 'a subscription')

/**
 * Everything that `tab` has sent on data channels so far, or only what it had sent at the last `__mark()`.
 *
 * @returns {Promise<Buffer[]>} The bytes of each libp2p stream.
 */
export async function sent (tab, { isBeforeMark = false } = {}) {
  const channels = await tab.run(isBefore => Promise.all(globalThis.__sent(isBefore)), isBeforeMark)
  return channels.map(text => payload(Buffer.from(text, 'base64')))
}

/** Takes the frames of one channel apart (varint length, then protobuf: field 1 flag, field 2 message) and joins the messages. */
function payload (bytes) {
  let at = 0
  const varint = () => {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      if (at >= bytes.length) throw new Error('a varint is cut')
      const byte = bytes[at++]
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
  }
  const messages = []
  while (at < bytes.length) {
    const length = varint()
    const end = at + length
    if (end > bytes.length) throw new Error('a frame is cut')
    while (at < end) {
      const tag = varint()
      if ((tag & 7) === 0) {
        varint()
      } else if ((tag & 7) === 2) {
        const length = varint()
        if (tag >> 3 === 2) messages.push(bytes.subarray(at, at + length))
        at += length
      } else {
        throw new Error(`field ${tag >> 3} has wire type ${tag & 7}`)
      }
    }
  }
  return Buffer.concat(messages)
}
