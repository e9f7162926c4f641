// Dashboards that models are dropped on.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { launch } from './chromium.mjs'
import { openMesh } from './dashboard.mjs'
import { Relay } from './relay.mjs'
import { weights } from './weights.mjs'

/** For what packs megabytes with a wasm that is not optimised, ms. */
const SLOW_MS = 150_000

/** A relay, dashboards that are connected to each other, and model files on disk. */
export class Studio {
  /** @param {number} count Dashboards. */
  static async start (count) {
    const studio = new Studio()
    const [browser, relay, dir] = await Promise.all([launch(), Relay.start(), mkdtemp(join(tmpdir(), 'chorus-studio-'))])
    Object.assign(studio, { browser, relay, dir, paths: {} })
    const { three, threeTuned } = await weights()
    for (const [name, bytes] of Object.entries({ three, mine: threeTuned })) {
      studio.paths[name] = join(dir, `${name}.safetensors`)
      await writeFile(studio.paths[name], bytes)
    }
    studio.tabs = await openMesh(browser, relay, Array.from({ length: count }, () => ({ storage: 'memory' })))
    return studio
  }

  async close () {
    await this.browser.close()
    await this.relay.close()
    await rm(this.dir, { recursive: true, force: true })
  }
}

export const dialog = tab => tab.page.locator('dialog.ask')

export const drop = (tab, path) => tab.page.locator('.drop input[type=file]').setInputFiles(path)

/** Resolves once the dialog shows what `selector` finds. */
export const shown = (tab, selector, ms = SLOW_MS) => dialog(tab).locator(selector).first().waitFor({ state: 'attached', timeout: ms })
