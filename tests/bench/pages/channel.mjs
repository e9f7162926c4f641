// Bulk over one RTCDataChannel with back-pressure.

/** Bytes queued before the sender waits, and the level at which it goes on. Best of 64 KiB to 8 MiB here. */
const HIGH = 1024 * 1024
const LOW = 256 * 1024

export async function send (channel, size, chunk) {
  const bytes = new Uint8Array(chunk).fill(7)
  channel.bufferedAmountLowThreshold = LOW
  for (let sent = 0; sent < size; sent += chunk) {
    if (channel.bufferedAmount > HIGH) {
      await new Promise(resolve => channel.addEventListener('bufferedamountlow', resolve, { once: true }))
    }
    channel.send(sent + chunk <= size ? bytes : bytes.subarray(0, size - sent))
  }
}

/** Resolves once `size` bytes came. */
export function receive (channel, size) {
  return new Promise((resolve, reject) => {
    let got = 0
    channel.onmessage = ({ data }) => {
      got += data.byteLength
      if (got >= size) resolve(got)
    }
    channel.onclose = () => reject(new Error(`closed after ${got} of ${size} bytes`))
  })
}
