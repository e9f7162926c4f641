// `cargo xtask bench join`: from navigation to the first application message that the joining tab gets from another tab.
//
// Every system has one tab that is there already and `n` tabs that join, each in a fresh context (no cache, no storage),
// one system after the other in turn. Every page is bundled by the same bundler, minified, and comes with all that it loads
// from a static server of its own on 127.0.0.1, which compresses nothing; no STUN server.
//   chorus      our npm package: finds the other tab by itself
//   js-libp2p   only dials, is handed the other tab's address: neither a reservation of its own nor discovery
//   peerjs      is handed the other tab's id; PeerServer on 127.0.0.1
//   raw         a bare RTCDataChannel; a WebSocket hub of a few lines
// The first three joiners ask as soon as they can; the message must have come over a direct connection.

import { launch } from '../lib/chromium.mjs'
import { close, print, say, systems } from './systems.mjs'
import { quantile } from './measure.mjs'
import { within } from '../lib/wait.mjs'

const N = Number(process.env.CHORUS_BENCH_N ?? 20)
/** A joining tab that heard nothing after this time in ms counts as a failure. */
const LIMIT_MS = 20_000

const only = process.argv.slice(2)
const browser = await launch()
const running = await systems(browser, 'join', only)
const times = new Map(running.map(system => [system.name, []]))
const failures = new Map(running.map(system => [system.name, 0]))

// One unmeasured round: the browser's own first-time work is nobody's.
for (const system of running) await join(system, false)
for (let i = 0; i < N; i++) {
  const order = running.map((_, k) => running[(k + i) % running.length])
  for (const system of order) await join(system, true)
}

for (const { name } of running) {
  const sorted = times.get(name).toSorted((a, b) => a - b)
  if (sorted.length > 0) {
    print('join', name, 'median', quantile(sorted, 0.5), 'ms')
    print('join', name, 'p90', quantile(sorted, 0.9), 'ms')
  }
  print('join', name, 'failures', failures.get(name), 'count')
}
await close(running)
await browser.close()
process.exit(0)

async function join (system, counts) {
  const context = await browser.newContext()
  try {
    const page = await context.newPage()
    const errors = []
    page.on('pageerror', error => errors.push(String(error)))
    // `joined` is called by the page with the message; the clock is the page's own, which starts with the navigation.
    await page.addInitScript(() => {
      globalThis.heard = new Promise((resolve, reject) => {
        globalThis.joined = () => resolve(performance.now())
        globalThis.failed = reject
      })
      globalThis.heard.catch(() => {})
    })
    await page.goto(system.url(), { waitUntil: 'commit' })
    const ms = await within(page.evaluate(() => globalThis.heard), LIMIT_MS, () => `a message; ${errors.join('; ')}`)
    if (counts) times.get(system.name).push(ms)
    say(`${system.name} ${ms.toFixed(0)} ms`)
  } catch (error) {
    if (counts) failures.set(system.name, failures.get(system.name) + 1)
    say(`${system.name} failed: ${error.message}`)
  } finally {
    await context.close()
  }
}
