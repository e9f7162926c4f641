// The JavaScript API of Chorus: joins the mesh from any page. Types: chorus.d.ts. Wraps the wasm beside this file.

import * as wrapper from './chorus_web.js'

let loading
let caring
let asking
let opening
let shaping
let isAhead = false

/** Loads the wasm once, from beside this module; works across origins. Resolves to the module that wraps it. */
export function load () {
  loading ??= instantiate(wrapper, compile(fetch(new URL('chorus_web_bg.wasm', import.meta.url)))).catch(error => {
    loading = undefined
    throw error
  })
  return loading
}

/**
 * Begins what needs no wasm, while that is on its way: asks the relay where it is, opens a socket to it, and starts the
 * browser's part of WebRTC with a first connection. Resolves to what the wasm takes over; never fails, because the wasm tries
 * again what failed here, and says why. For boot.js and widget.js.
 */
export async function begin ({ relay, iceServers, relayOnly }) {
  const begun = {}
  try {
    const answered = fetch(`${relay.replace(/\/+$/, '')}/bootstrap.json`)
    answered.catch(() => {})
    begun.connection = new RTCPeerConnection({ iceServers, iceTransportPolicy: relayOnly ? 'relay' : 'all' })
    const answer = await answered
    const bootstrap = answer.ok ? await answer.json() : undefined
    const [, kind, host, port, scheme] = bootstrap?.addrs.map(address => WEB_SOCKET.exec(address)).find(Boolean) ?? []
    if (host) begun.socket = new WebSocket(`${scheme === 'ws' ? 'ws' : 'wss'}://${kind === 'ip6' ? `[${host}]` : host}:${port}`)
    begun.bootstrap = bootstrap
  } catch {
    // A socket that was opened is let go by the relay, which waits for its first words in vain.
  }
  return begun
}

/** Loads a compiled wasm with the module that wraps it; neither waits for the other. For privacy.js. */
export async function instantiate (wrapper, compiled, signal) {
  compiled.catch(() => {})
  // An import cannot be ended, only waited for no longer.
  const late = new Promise((resolve, reject) => { signal?.addEventListener('abort', () => reject(signal.reason)) })
  try {
    const module = await Promise.race([wrapper, late])
    await module.default({ module_or_path: await compiled })
    return module
  } catch (error) {
    throw fail('ERR_LOAD', `the wasm cannot be loaded: ${error?.message ?? error}`)
  }
}

/** Compiles what arrives, while it arrives; some hosts do not say that it is wasm. For privacy.js and engram.js. */
export async function compile (wasm) {
  const answer = await wasm
  if (!answer.ok) throw new Error(`${answer.url}: ${answer.status}`)
  const isNamed = answer.headers.get('Content-Type') === 'application/wasm'
  return isNamed ? await WebAssembly.compileStreaming(answer) : await WebAssembly.compile(await answer.arrayBuffer())
}

/** Starts a worker. It must come from the page's own origin: where `here` does not, a script of the page's own imports it. */
export function startWorker (here) {
  if (here.origin === location.origin) return new Worker(here, { type: 'module' })
  const script = URL.createObjectURL(new Blob([`import ${JSON.stringify(here.href)}`], { type: 'text/javascript' }))
  const worker = new Worker(script, { type: 'module' })
  // It is fetched later than this; the address is of no use afterwards.
  worker.addEventListener('message', () => URL.revokeObjectURL(script), { once: true })
  return worker
}

/** Loads what previews, seals, opens and tells the ledger: at the first share, not at the start. */
export function privacy () {
  caring ??= import('./privacy.js').catch(error => {
    caring = undefined
    throw fail('ERR_LOAD', `privacy.js cannot be loaded: ${error?.message ?? error}`)
  })
  return caring
}

/** Loads what packs and unpacks: when an engram is shared, not at the start. */
function engrams () {
  opening ??= import('./engram.js').catch(error => {
    opening = undefined
    throw fail('ERR_LOAD', `engram.js cannot be loaded: ${error?.message ?? error}`)
  })
  return opening
}

/**
 * Fetches what the first share needs, once the peer has had time to find the others and nothing else is to be done: the share
 * then works without the relay as well.
 */
export function prefetch () {
  if (isAhead || navigator.connection?.saveData) return
  isAhead = true
  // What does not arrive is fetched when it is needed. Safari has no idle time.
  const fetchAll = () => asks().then(({ prefetch }) => prefetch()).catch(() => {})
  const whenIdle = () => globalThis.requestIdleCallback?.(fetchAll, { timeout: MAX_IDLE_MS }) ?? fetchAll()
  setTimeout(whenIdle, JOINING_MS)
}

/** What a view asks before anything leaves, and what left. For boot.js and widget.js. */
export const dialogs = {
  share: async (peer, file, root) => await (await (isModel(file) ? shapes() : asks())).share(peer, file, root),
  engram: async (peer, cid, root) => await (await shapes()).receive(peer, cid, root),
  ledger: async (peer, _, root) => (await asks()).showLedger(peer, root),
  open: async (peer, cid) => (await privacy()).open(peer, cid),
  training: async peer => (await privacy()).training(peer),
  // What was never loaded has nothing to close or to forget.
  close: async (peer, _, root) => {
    await asking?.then(({ closeAll }) => closeAll(root))
    // The dialogs load privacy.js by themselves.
    if (asking ?? caring) await (await privacy()).forget(peer)
  }
}

function asks () {
  asking ??= import('./dialog.js').catch(error => {
    asking = undefined
    throw fail('ERR_LOAD', `dialog.js cannot be loaded: ${error?.message ?? error}`)
  })
  return asking
}

/** Loads what packs models and lets them into others, when the first one is dropped or opened. */
function shapes () {
  shaping ??= import('./studio.js').catch(error => {
    shaping = undefined
    throw fail('ERR_LOAD', `studio.js cannot be loaded: ${error?.message ?? error}`)
  })
  return shaping
}

function isModel (file) { return /\.safetensors$/i.test(file.name) }

/** Joins the mesh through a relay; resolves to a peer. */
export async function join (options = {}) {
  const { relay = new URL('.', import.meta.url).href, ...rest } = options
  // One that is misspelt must not be as good as absent: `relayOnly` hides the visitor's address.
  const unknown = Object.keys(options).find(key => !OPTIONS.includes(key))
  if (unknown !== undefined) throw fail('ERR_INVALID_ARGUMENT', `options must be among ${OPTIONS.join(', ')}, got ${JSON.stringify(unknown)}`)
  try {
    void new URL(relay)
  } catch {
    throw fail('ERR_INVALID_ARGUMENT', `relay must be a URL, got ${JSON.stringify(relay)}`)
  }
  const ahead = begin({ relay, ...rest })
  const { start } = await load()
  const listeners = new Listeners()
  const peer = new Peer(await start({ relay, ...rest, ahead }, (name, value) => listeners.emit(name, value)), listeners)
  prefetch()
  return peer
}

class Listeners {
  #all = new Map()

  on (event, listener) {
    if (!EVENTS.includes(event)) throw fail('ERR_INVALID_ARGUMENT', `event must be one of ${EVENTS.join(', ')}, got ${JSON.stringify(event)}`)
    if (typeof listener !== 'function') throw fail('ERR_INVALID_ARGUMENT', 'a listener must be a function')
    if (!this.#all.has(event)) this.#all.set(event, new Set())
    // An entry of its own, so that one function may listen twice.
    const entry = { listener }
    this.#all.get(event).add(entry)
    return () => { this.#all.get(event).delete(entry) }
  }

  emit (event, value) {
    for (const { listener } of this.#all.get(event) ?? []) {
      try {
        listener(value)
      } catch (error) {
        reportError(error)
      }
    }
  }

  clear () { this.#all.clear() }
}

/** A peer in this page. Made by `join`. */
class Peer {
  #peer
  #listeners

  constructor (peer, listeners) {
    this.#peer = peer
    this.#listeners = listeners
    const open = this.#open.bind(this)
    this.id = peer.id
    this.network = peer.network
    this.streams = Object.freeze({
      addresses: async () => await open().addresses(),
      dial: async address => await open().dial(String(address)),
      ping: async peer => await open().ping(String(peer)),
      open: async (peer, protocol) => await open().openStream(String(peer), String(protocol)),
      handle: async (protocol, handler) => open().handleProtocol(String(protocol), (stream, peer) => {
        Promise.resolve().then(() => handler(stream, peer)).catch(error => this.#listeners.emit('error', error))
      }),
      connections: async () => await open().connections()
    })
  }

  async preview (init) {
    const peer = this.#open()
    const { type, content, name, ttl, recipients } = init ?? {}
    if (typeof type !== 'string') throw fail('ERR_INVALID_ARGUMENT', 'type must be a string')
    if (ttl !== undefined && !(Number.isInteger(ttl) && ttl > 0)) throw fail('ERR_INVALID_ARGUMENT', `ttl must be a whole number of seconds > 0, got ${ttl}`)
    // An empty list may be a mistake in naming the recipients; it must not make the packet everybody's.
    if (recipients !== undefined && !(Array.isArray(recipients) && recipients.length > 0)) throw fail('ERR_INVALID_ARGUMENT', 'recipients must be a list of at least one peer id')
    if (recipients && init.instructions) throw fail('ERR_INVALID_ARGUMENT', 'instructions are readable by everybody: a sealed packet has none')
    const instructions = read(init.instructions)
    // A file's own name is where its content goes, unless the instructions say that.
    const called = name ?? (instructions?.where ? undefined : content?.name)
    const where = called === undefined ? undefined : { memory: { region: String(called) } }
    const { preview } = await privacy()
    return await preview(peer, { ...init, name: called, instructions: instructions && where ? { ...instructions, where } : instructions })
  }

  async share (init) {
    const preview = await this.preview(init)
    return await preview.share()
  }

  async get (cid) { return await this.#open().get(String(cid)) }

  async * query (filter = {}) {
    const { type, author, limit, superseded } = filter
    if (limit !== undefined && !(Number.isInteger(limit) && limit > 0 && limit < 2 ** 32)) throw fail('ERR_INVALID_ARGUMENT', `limit must be a whole number > 0, got ${limit}`)
    yield * await this.#open().query(type, author, limit, superseded)
  }

  async revoke (cids) {
    const peer = this.#open()
    return await (await privacy()).revoke(peer, [cids].flat().map(String))
  }

  async pin (cid) { await this.#open().pin(String(cid)) }

  async unpin (cid) { await this.#open().unpin(String(cid)) }

  async measure (metric, value) { await this.#open().measure(String(metric), Number(value)) }

  async shareTensors (tensors, options = {}) {
    return await this.share({ type: 'tensors', ...options, content: safetensors(tensors) })
  }

  async shareEngram (engram, targets, options) {
    const peer = this.#open()
    const [{ share }, { cleaned }] = await Promise.all([engrams(), privacy()])
    return await share(this, init => cleaned(peer, init), engram, targets, options)
  }

  async receiveSealed () {
    const peer = this.#open()
    return await (await privacy()).receiveSealed(peer)
  }

  async open (cid) {
    const peer = this.#open()
    return await (await privacy()).open(peer, String(cid))
  }

  async ledger () {
    const peer = this.#open()
    return await (await privacy()).ledger(peer)
  }

  async exportLedger () {
    const peer = this.#open()
    return await (await privacy()).exportLedger(peer)
  }

  on (event, listener) { return this.#listeners.on(event, listener) }

  status () { return this.#open().status() ?? { category: 'unknown', members: 0, relayed: 0, relays: 0, fetches: 0, packets: 0 } }

  async peers () { return await this.#open().peers() }

  wake () { this.#open().wake() }

  async close () {
    const peer = this.#peer
    this.#peer = undefined
    if (!peer) return
    await peer.close()
    await caring?.then(({ forget }) => forget(peer))
    this.#listeners.clear()
  }

  #open () {
    if (!this.#peer) throw fail('ERR_CLOSED', 'the peer is closed')
    return this.#peer
  }
}

/** Instructions as the core reads them: `performance_threshold_0.8` is the metric and the value it is to reach. */
function read (instructions) {
  const [, metric, value] = /^(.+)_threshold_([^_]+)$/.exec(instructions?.when) ?? []
  return metric ? { ...instructions, when: { threshold: { metric, value: Number(value) } } } : instructions
}

/** Packs tensors in the safetensors format. */
function safetensors (tensors) {
  const parts = partsOf(tensors)
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** The parts of a safetensors file: header length (u64 LE) and JSON header, then the data of each tensor. For engram.js. */
export function partsOf (tensors) {
  const header = {}
  const parts = []
  let offset = 0
  for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
    const width = WIDTHS[dtype]
    if (!width) throw fail('ERR_INVALID_ARGUMENT', `${name}: dtype must be one of ${Object.keys(WIDTHS).join(', ')}, got ${dtype}`)
    const length = shape.reduce((product, side) => product * side, 1) * width
    if (!ArrayBuffer.isView(data) || data.byteLength !== length) {
      throw fail('ERR_INVALID_ARGUMENT', `${name}: ${dtype} of shape [${shape}] has ${length} bytes, got ${data?.byteLength}`)
    }
    header[name] = { dtype: dtype.toUpperCase(), shape, data_offsets: [offset, offset + length] }
    parts.push(new Uint8Array(data.buffer, data.byteOffset, length))
    offset += length
  }
  const json = new TextEncoder().encode(JSON.stringify(header))
  // Data starts at a multiple of eight: the format pads its header with spaces.
  const head = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20)
  new DataView(head.buffer).setBigUint64(0, BigInt(head.length - 8), true)
  head.set(json, 8)
  return [head, ...parts]
}

/** Makes an error with a code. For privacy.js. */
export function fail (code, message) {
  return Object.assign(new Error(message), { code })
}

/** Most bytes of one shared object. Source: core, bounds::DEFAULT_MAX_OBJECT. For dialogs and engram.js. */
export const MAX_OBJECT = 10_000_000
/**
 * What is fetched ahead waits so long after the start. A tab that joins is idle between messages, and fetching then slows the
 * joining. Source: `cargo xtask bench join`; the slowest of its tabs took a second.
 */
const JOINING_MS = 3_000
/** Longest wait for idle time. Guess: a page that is busy for longer is busy for good. */
const MAX_IDLE_MS = 10_000
const OPTIONS = ['relay', 'network', 'storage', 'iceServers', 'relayOnly']
const EVENTS = ['peer', 'packet', 'due', 'undue', 'revoked', 'status', 'pulse', 'progress', 'error']
/** An address of a relay that a page can open a socket to. */
const WEB_SOCKET = /^\/(ip4|ip6|dns[46]?)\/([^/]+)\/tcp\/(\d+)\/(ws|wss|tls\/ws)(\/p2p\/[^/]+)?$/
const WIDTHS = { f64: 8, i64: 8, u64: 8, f32: 4, i32: 4, u32: 4, f16: 2, bf16: 2, i16: 2, u16: 2, i8: 1, u8: 1, bool: 1 }
