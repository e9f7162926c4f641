// Pages of another origin than the relay's that pack, unpack and share engrams.

import { Tab, launch } from './chromium.mjs'
import { Relay } from './relay.mjs'
import { html, serve } from './serve.mjs'
import { weights } from './weights.mjs'

/** A browser, a relay, and a site that serves model files. */
export class Engrams {
  async start () {
    [this.browser, this.relay, this.files] = await Promise.all([launch(), Relay.start(), weights()])
    const served = Object.entries(this.files).map(([name, body]) => [`/${name}`, { type: 'application/octet-stream', body }])
    this.site = await serve({ '/': html('data:text/javascript,', {}), ...Object.fromEntries(served) })
  }

  /** Ends what was started, where starting failed half-way as well. */
  async close () {
    await this.browser?.close()
    await this.site?.close()
    await this.relay?.close()
  }

  /** A page with the functions of engram.js and a few of its own. */
  async openTab () {
    const tab = await Tab.open(this.browser)
    await tab.page.goto(`${this.site.origin}/`)
    await tab.run(async relay => {
      Object.assign(globalThis, await import(`${relay}/engram.js`), {
        blob: async name => await (await fetch(`/${name}`)).blob(),
        codeOf: promise => promise.then(() => 'no error', error => error.code ?? String(error)),
        isSame: (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]),
        // Looks at megabytes without keeping the page busy.
        digestOf: async bytes => new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)).toHex(),
        // Packs, and unpacks what came of it.
        roundTrip: async (engram, options) => {
          const shares = []
          const packed = await engram.pack(options, { onProgress: share => shares.push(share) })
          const back = await unpack(packed, { base: options.base })
          const isBack = isSame(await engram.safetensors(), await back.safetensors()) && back.digest === engram.digest
          back.close()
          return { bytes: packed.length, isBack, isFollowed: shares.length > 0 && shares.every((share, i) => share >= (shares[i - 1] ?? 0)) }
        }
      })
    }, this.relay.http)
    return tab
  }

  /** A page that has joined the mesh as `tab.id`; its peer is `globalThis.peer`. */
  async joinedTab () {
    const tab = await this.openTab()
    tab.id = await tab.run(async relay => {
      const { join } = await import(`${relay}/chorus.js`)
      globalThis.peer = await join({ relay, storage: 'memory' })
      return peer.id
    }, this.relay.http)
    return tab
  }
}

/** Opens a file of the site in the page as `globalThis[name]`. */
export const opened = (tab, name) => tab.run(async name => { globalThis[name] = await open(await blob(name)) }, name)
