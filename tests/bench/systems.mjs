// The systems that the benches compare. Each has a tab that is there already (the host) and a page that joins it.

import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile, readdir } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { PeerServer } from 'peer'
import { WebSocketServer } from 'ws'

import { split } from '../lib/bundle.mjs'
import { startJsRelay } from '../lib/js/relay.mjs'
import { PAGE, RELAY, Relay } from '../lib/relay.mjs'
import { html, js, serve } from '../lib/serve.mjs'
import { within } from '../lib/wait.mjs'

export { print, say } from './measure.mjs'

const TYPES = { '.css': 'text/css', '.js': 'text/javascript; charset=utf-8', '.wasm': 'application/wasm' }
const HOST_MS = 30_000

/**
 * Starts the systems of `bench` that `only` names, or all.
 *
 * @param {'join' | 'transfer'} bench
 * @returns {Promise<{ name: string, url: () => string, host: import('playwright-core').Page, close: () => Promise<void> }[]>}
 */
export async function systems (browser, bench, only) {
  const all = { chorus, 'js-libp2p': jsLibp2p, peerjs, raw }
  if (bench === 'transfer') delete all.peerjs
  const relay = await startRelay()
  const running = []
  for (const [name, start] of Object.entries(all)) {
    if (only.length > 0 && !only.includes(name)) continue
    running.push({ name, ...await start(browser, bench, relay) })
  }
  running.relay = relay
  return running
}

export async function close (running) {
  for (const system of running) await system.close()
  await running.relay.close()
}

/** Our relay serves Chorus and js-libp2p alike; where it is not built, js-libp2p has one of its own. */
async function startRelay () {
  if (existsSync(RELAY)) return await Relay.start()
  console.error(`${RELAY} is not there: js-libp2p's relay, and no chorus`)
  return await startJsRelay()
}

/** Opens the host's tab and resolves once its script has called `ready(value)`, with that value. */
async function openHost (browser, url) {
  const context = await browser.newContext()
  const page = await context.newPage()
  page.on('pageerror', error => console.error(`host: ${error.stack ?? error}`))
  await page.addInitScript(() => {
    globalThis.hosting = new Promise(resolve => { globalThis.ready = resolve })
  })
  await page.goto(url)
  const value = await within(page.evaluate(() => globalThis.hosting), HOST_MS, `the host's tab of ${url}`)
  return { page, value, close: () => context.close() }
}

/**
 * Serves a system's page from an origin of its own, as every site would: one bundler, one server, nothing compressed on the
 * way. `modules` are packages that the page imports by name, `folder` what they load by themselves, `ahead` what the page
 * asks for in its head.
 */
async function site (name, { modules, folder, ahead = [] } = {}) {
  const scripts = await split(`bench/pages/${name}.mjs`, modules)
  const preloads = scripts.slice(1).filter(script => script.isFirst).map(script => `<link rel="modulepreload" href="/${script.name}">`)
  const fetches = ahead.map(url => `<link rel="preload" as="fetch" crossorigin href="${url}">`)
  const files = { '/': html(`/${scripts[0].name}`, { head: [...preloads, ...fetches].join('') }) }
  for (const file of folder ? await readdir(folder) : []) {
    const type = TYPES[extname(file)]
    if (type) files[`/${file}`] = { type, body: await readFile(join(folder, file)) }
  }
  for (const { name, text } of scripts) files[`/${name}`] = js(text)
  return await serve(files)
}

async function chorus (browser, bench, relay) {
  // The npm package; its files beside the bundle, and what README says of a page that joins at once.
  const page = await site('chorus', {
    modules: { 'chorus-mesh': join(PAGE, 'chorus.js') },
    folder: PAGE,
    ahead: ['/chorus_web_bg.wasm', `${relay.http}/bootstrap.json`]
  })
  const base = `${page.origin}/?relay=${encodeURIComponent(relay.http)}`
  const host = await openHost(browser, `${base}&role=host`)
  return {
    host: host.page,
    url: () => `${base}&target=${host.value}`,
    close: async () => { await host.close(); await page.close() }
  }
}

async function jsLibp2p (browser, bench, relay) {
  const page = await site('libp2p')
  const host = await openHost(browser, `${page.origin}/?role=host&relay=${encodeURIComponent(relay.ws)}`)
  return {
    host: host.page,
    url: () => `${page.origin}/?target=${encodeURIComponent(host.value)}`,
    close: async () => { await host.close(); await page.close() }
  }
}

async function peerjs (browser) {
  const page = await site('peerjs')
  let listening
  const ready = new Promise(resolve => { listening = resolve })
  const app = PeerServer({ host: '127.0.0.1', port: 0, path: '/', allow_discovery: false }, server => listening(server))
  const server = await ready
  app.on?.('error', error => console.error(`PeerServer: ${error}`))
  const base = `${page.origin}/?port=${server.address().port}`
  const id = randomUUID()
  const host = await openHost(browser, `${base}&role=host&id=${id}`)
  return {
    host: host.page,
    url: () => `${base}&target=${id}`,
    close: async () => {
      await host.close()
      await page.close()
      server.closeAllConnections()
      server.close()
    }
  }
}

async function raw (browser) {
  const page = await site('raw')
  const sockets = hub(page.server)
  const host = await openHost(browser, `${page.origin}/?role=host`)
  return {
    host: host.page,
    url: () => `${page.origin}/`,
    close: async () => {
      await host.close()
      // The server waits for whoever is still connected, and joiners may be.
      sockets.clients.forEach(socket => socket.terminate())
      await page.close()
    }
  }
}

/** The least signalling there can be: text from joiner N goes to the host as [N, text], and back the same way. */
function hub (server) {
  const sockets = new WebSocketServer({ server })
  let host
  let count = 0
  const joiners = new Map()
  sockets.on('connection', (socket, request) => {
    if (request.url === '/host') {
      host = socket
      socket.on('message', data => {
        const [number, text] = JSON.parse(data)
        joiners.get(number)?.send(text)
      })
      return
    }
    const number = ++count
    joiners.set(number, socket)
    socket.on('message', data => host.send(JSON.stringify([number, String(data)])))
    socket.on('close', () => joiners.delete(number))
  })
  return sockets
}
