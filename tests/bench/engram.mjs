// `cargo xtask bench engram`, the part in Chromium: the codecs alone on the numbers that the native part left, best of some
// runs. Cases end in `_chromium`; `neural_symbols_chromium` is the learned coder at its slowest, in numbers per second.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { Tab, launch } from '../lib/chromium.mjs'
import { html, js, serve } from '../lib/serve.mjs'
import { print } from './measure.mjs'

/** Levels by system, and how often each is run; the fastest run counts. */
const LEVELS = [['chorus-fast', 'fast', 9], ['chorus-neural', 'neural', 5]]

const cases = JSON.parse(await readFile(join(process.env.CHORUS_CASES, 'cases.json'), 'utf8'))
const numbers = async ({ head, file }) => {
  const [before, raw] = await Promise.all([head, file].map(name => readFile(join(process.env.CHORUS_CASES, name))))
  return { type: 'application/octet-stream', body: Buffer.concat([before, raw]) }
}
const wanted = cases.filter(({ case: name }) => ['f32', 'bf16'].includes(name))
const module = name => readFile(join(process.env.CHORUS_ENGRAM, name))
const site = await serve({
  '/': html('data:text/javascript,', {}),
  '/chorus_engram.js': js(await module('chorus_engram.js')),
  '/chorus_engram_bg.wasm': { type: 'application/wasm', body: await module('chorus_engram_bg.wasm') },
  ...Object.fromEntries(await Promise.all(wanted.map(async one => [`/${one.case}`, await numbers(one)])))
})
const browser = await launch()
let slowest = Infinity
for (const { case: name } of wanted) {
  for (const [system, level, runs] of LEVELS) {
    // A tab of its own: what one leaves in memory slows none.
    const tab = await Tab.open(browser)
    await tab.page.goto(`${site.origin}/`)
    const { bytes, count, packing, unpacking } = await tab.run(async ([name, level, runs]) => {
      const { default: init, CodecBench } = await import('/chorus_engram.js')
      await init({ module_or_path: fetch('/chorus_engram_bg.wasm') })
      const bench = new CodecBench(new Uint8Array(await (await fetch(`/${name}`)).arrayBuffer()), level)
      const best = { packing: Infinity, unpacking: Infinity, count: bench.numbers() }
      const measure = (what, work) => {
        const start = performance.now()
        const bytes = work()
        best[what] = Math.min(best[what], (performance.now() - start) / 1000)
        return bytes
      }
      for (let run = 0; run < runs; run++) {
        measure('packing', () => bench.compress())
        best.bytes = measure('unpacking', () => bench.decompress())
      }
      bench.check()
      return best
    }, [name, level, runs], 300_000, `${level} on ${name}`)
    const report = (what, value, unit) => print('engram', system, `${what}_${name}_chromium`, value, unit)
    for (const [what, seconds] of [['compress', packing], ['decompress', unpacking]]) {
      report(what, bytes / seconds / 1e6, 'MB/s')
      report(`symbols_${what}`, count / seconds / 1e6, 'M/s')
    }
    if (level === 'neural') slowest = Math.min(slowest, count / Math.max(packing, unpacking) / 1e6)
    await tab.close()
  }
}
print('engram', 'chorus-neural', 'neural_symbols_chromium', slowest, 'M/s')
await browser.close()
await site.close()
process.exit(0)
