// The second wasm with what takes longest in it: searching, sealing and opening all bytes of something. privacy.js imports it
// into the page for what is short. For what is long it starts a worker with the compiled wasm and ends it afterwards; then its
// memory is free. What wasm refuses has a code.
//
// Out of a worker: `{}`, when it can be called; then `{ value }` or `{ error: { code, message } }`. In: `{ module, method, args }`.

import { Stages, initSync, open, reserve } from './chorus_privacy.js'

export * from './chorus_privacy.js'
export { default } from './chorus_privacy.js'

/** Each erases the `secret`, which it goes by. */
export const methods = {
  /** Takes content through all stages. `booked`: the ledger before noise was booked in it, and how much noise. */
  prepare ({ secret, network, how, content, booked, keys, author, now }) {
    let stages
    let released
    try {
      stages = new Stages(secret, network)
      const reserved = booked && reserve(booked.before, network, booked.noiseMultiplier)
      released = stages.prepare(how, content, reserved, keys, author, now)
      const { content: clean, type, instructions, preview, text } = released
      // Its id and its time are known when it leaves.
      return { content: clean, type, instructions, preview, text, entry: released.entry('', now) }
    } finally {
      released?.free()
      stages?.free()
      secret.fill(0)
    }
  },

  /** Opens what was sealed, with the keyring. */
  open ({ secret, network, content, author, now }) {
    let opened
    try {
      opened = open(content, secret, network, author, now)
      const { content: clear, name, type, quality } = opened
      return { content: clear, name, type, quality }
    } finally {
      opened?.free()
      secret?.fill(0)
    }
  }
}

// In a worker.
if (!globalThis.document) {
  addEventListener('message', ({ data: { module, method, args } }) => {
    try {
      initSync({ module })
      const value = methods[method](args)
      postMessage({ value }, { transfer: [value.content.buffer] })
    } catch (error) {
      postMessage({ error: { code: error?.code, message: error?.message } })
    }
  })
  postMessage({})
}
