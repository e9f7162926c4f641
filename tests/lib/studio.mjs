// Dashboards that models are dropped on.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { launch } from './chromium.mjs'
import { openMesh } from './dashboard.mjs'
import { Relay } from './relay.mjs'
import { SLOW_MS } from './wait.mjs'
import { weights } from './weights.mjs'

/** A relay, dashboards that are connected to each other, and model files on disk. */
export class Studio {
  paths = {}

  /** @param {number} count Dashboards. */
  async start (count) {
    [this.browser, this.relay, this.dir] = await Promise.all([launch(), Relay.start(), mkdtemp(join(tmpdir(), 'chorus-studio-'))])
    const { three, threeTuned } = await weights()
    for (const [name, bytes] of Object.entries({ three, mine: threeTuned })) {
      this.paths[name] = join(this.dir, `${name}.safetensors`)
      await writeFile(this.paths[name], bytes)
    }
    this.tabs = await openMesh(this.browser, this.relay, Array.from({ length: count }, () => ({ storage: 'memory' })))
  }

  /** Ends what was started, where starting failed half-way as well. */
  async close () {
    await this.browser?.close()
    await this.relay?.close()
    if (this.dir) await rm(this.dir, { recursive: true, force: true })
  }
}

export const dialog = tab => tab.page.locator('dialog.ask')

export const drop = (tab, path) => tab.page.locator('.drop input[type=file]').setInputFiles(path)

/** Resolves once the dialog shows what `selector` finds. */
export const shown = (tab, selector, ms = SLOW_MS) => dialog(tab).locator(selector).first().waitFor({ state: 'attached', timeout: ms })
