// `cargo xtask bench transfer`: 64 MiB from tab to tab, one system after the other in turn; the median of the rounds.
//
//   chorus          one stream of `peer.streams`; case `objects`: `peer.get` of 8 shared objects of 8 MiB, each block verified
//   js-libp2p       one stream
//   raw-16KiB, raw-64KiB   a bare RTCDataChannel with messages of that size and back-pressure
// The clock is the receiver's: from asking to the last byte.

import { launch } from '../lib/chromium.mjs'
import { within } from '../lib/wait.mjs'
import { quantile } from './measure.mjs'
import { close, print, say, systems } from './systems.mjs'

const SIZE = 64 * 1024 * 1024
const OBJECTS = 8
const ROUNDS = Number(process.env.CHORUS_BENCH_ROUNDS ?? 5)
/** A transfer that takes longer than this in ms failed, and with it its connection: the case ends there. */
const LIMIT_MS = 60_000

const only = process.argv.slice(2)
const browser = await launch()
const running = await systems(browser, 'transfer', only)
const cases = []
for (const system of running) {
  const context = await browser.newContext()
  const page = await context.newPage()
  page.on('pageerror', error => say(`${system.name}: ${error.stack ?? error}`))
  await page.addInitScript(() => {
    globalThis.connected = new Promise((resolve, reject) => {
      globalThis.ready = resolve
      globalThis.failed = reject
    })
  })
  await page.goto(system.url())
  await within(page.evaluate(() => globalThis.connected), 30_000, `${system.name}: connected`)
  const timed = arg => page.evaluate(async ([name, arg]) => {
    const start = performance.now()
    const got = await globalThis[name](...arg)
    return [got, performance.now() - start]
  }, arg)
  if (system.name === 'raw') {
    for (const kib of [16, 64]) {
      cases.push({ system: `raw-${kib}KiB`, name: 'throughput', run: () => timed(['transfer', [SIZE, kib * 1024]]) })
    }
  } else {
    cases.push({ system: system.name, name: 'throughput', run: () => timed(['transfer', [SIZE]]) })
  }
  if (system.name === 'chorus') {
    cases.push({
      system: 'chorus',
      name: 'objects',
      run: async () => {
        const cids = await system.host.evaluate(([count, size]) => globalThis.shareObjects(count, size), [OBJECTS, SIZE / OBJECTS])
        return await timed(['getObjects', [cids]])
      }
    })
  }
}

const speeds = cases.map(() => [])
for (let round = 0; round <= ROUNDS; round++) {
  for (let k = 0; k < cases.length; k++) {
    const at = (k + round) % cases.length
    const { system, name, run, isBroken } = cases[at]
    if (isBroken) continue
    try {
      const [got, ms] = await within(run(), LIMIT_MS, `${system} ${name}`)
      if (got !== SIZE) throw new Error(`got ${got} of ${SIZE} bytes`)
      const speed = SIZE / 1000 / ms
      say(`${system} ${name} ${speed.toFixed(1)} MB/s${round === 0 ? ' (warming up)' : ''}`)
      if (round > 0) speeds[at].push(speed)
    } catch (error) {
      say(`${system} ${name} failed: ${error.message}`)
      cases[at].isBroken = true
    }
  }
}
cases.forEach(({ system, name }, at) => {
  const sorted = speeds[at].toSorted((a, b) => a - b)
  if (sorted.length > 0) print('transfer', system, name, quantile(sorted, 0.5), 'MB/s')
  print('transfer', system, name === 'throughput' ? 'failures' : `${name}-failures`, ROUNDS - sorted.length, 'count')
})
await close(running)
await browser.close()
process.exit(0)
