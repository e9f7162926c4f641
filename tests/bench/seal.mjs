// `cargo xtask bench seal`, the half in Chromium: sealing 10 MB to one recipient, beside the cipher crate alone on the same
// bytes in the same module, in turn. Both go from memory of the wasm to new memory of the wasm.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { Tab, launch } from '../lib/chromium.mjs'
import { html, js, serve } from '../lib/serve.mjs'
import { print, quantile } from './measure.mjs'

/** Bytes of content: the largest object that is shared unless configured otherwise. */
const BYTES = 10_000_000
const ROUNDS = Number(process.env.CHORUS_BENCH_N ?? 21)

const file = name => readFile(join(process.env.CHORUS_PRIVACY, name))
const site = await serve({
  '/': html('data:text/javascript,', {}),
  '/chorus_privacy.js': js(await file('chorus_privacy.js')),
  '/chorus_privacy_bg.wasm': { type: 'application/wasm', body: await file('chorus_privacy_bg.wasm') }
})
const browser = await launch()
const tab = await Tab.open(browser)
await tab.page.goto(`${site.origin}/`)
const seconds = await tab.run(async ([bytes, rounds]) => {
  const { default: init, SealBench } = await import('/chorus_privacy.js')
  await init({ module_or_path: fetch('/chorus_privacy_bg.wasm') })
  const bench = new SealBench(bytes)
  const times = { chorus: [], cipher: [] }
  const measure = (system, work) => {
    const start = performance.now()
    if (work() < bytes) throw new Error(`${system} did too little`)
    times[system].push((performance.now() - start) / 1000)
  }
  // The first round compiles.
  for (let round = 0; round <= rounds; round++) {
    measure('chorus', () => bench.seal())
    measure('cipher', () => bench.cipher())
  }
  for (const all of Object.values(times)) all.shift()
  return times
}, [BYTES, ROUNDS], 300_000, 'the rounds')
for (const [system, times] of Object.entries(seconds)) {
  print('seal', system, 'seal_chromium', BYTES / quantile(times.toSorted((a, b) => a - b), 0.5) / 1e6, 'MB/s')
}
await tab.close()
await browser.close()
await site.close()
process.exit(0)
