// Content for tests: the same bytes for the same seed, and how to compare them.

import { createHash } from 'node:crypto'

/** `size` bytes that compress badly and differ between seeds. */
export function content (size, seed) {
  const bytes = new Uint8Array(size)
  const words = new Uint32Array(bytes.buffer, 0, size >> 2)
  for (let i = 0, x = seed | 1; i < words.length; i++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    words[i] = x
  }
  return bytes
}

export const sha256 = bytes => createHash('sha256').update(bytes).digest('hex')
