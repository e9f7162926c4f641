// What a page needs to share with care, loaded by chorus.js at the first share: previews, sealing keys, opening, the ledger.
//
// The one place of this logic, for the API (chorus.js) and for the dashboard (chorus_web.js), which is handed these
// functions. `peer` is a ChorusPeer of chorus_web.js: it signs, stores and sends. privacy-worker.js scrubs, seals and opens.

import { compile, fail, instantiate, startWorker } from './chorus.js'

let loading
let compiled
/** The second wasm where it was fetched ahead: a Blob. */
let ahead

/** Loads the second wasm once. */
export function load () {
  const start = () => {
    const signal = AbortSignal.timeout(MAX_LOADING_MS)
    const wasm = ahead ? Promise.resolve(new Response(ahead)) : fetch(WASM, { signal })
    ahead = undefined
    compiled = compile(wasm)
    return instantiate(import('./privacy-worker.js'), compiled, signal)
  }
  loading ??= start().catch(error => {
    loading = undefined
    throw error
  })
  return loading
}

/** Fetches what sharing needs and starts none of it. Kept here: a cache may not give it back while the relay is gone. */
export async function prefetch () {
  const [answer] = await Promise.all([fetch(WASM, { priority: 'low' }), import('./privacy-worker.js')])
  if (answer.ok && !loading) ahead = await answer.blob()
}

/** What is kept for a peer while its page is open: its private learning, and the last of its turns with each record. */
const kept = new WeakMap()

function of (peer) {
  if (!kept.has(peer)) kept.set(peer, { turns: {} })
  return kept.get(peer)
}

/**
 * Takes content through all stages; nothing leaves.
 *
 * @returns {Promise<Preview>}
 */
export async function preview (peer, init) {
  const { content, recipients = [], noise, ...rest } = init
  const [module, bytes] = await Promise.all([load(), bytesOf(content)])
  const keys = recipients.length > 0 ? await peer.keyPackets(module.keyType(), recipients) : []
  const published = rest.facts ? await publishedRanges(peer) : []
  const how = JSON.stringify({ ...rest, recipients, noise, published })
  const through = async booked => {
    return await previewOf(peer, module, await released(peer, module, { how, content: bytes, booked, keys }))
  }
  try {
    return await through()
  } catch (error) {
    // The budget is touched only where nothing but the noise is missing.
    if (error?.code !== NEEDS_NOISE) throw coded(error)
  }
  const booked = await reserve(peer, module, noise.noiseMultiplier)
  try {
    return await through(booked)
  } catch (error) {
    throw coded(error)
  }
}

/** Takes content through the stages that search it; resolves to it as it would leave. Nothing leaves. For engram.js. */
export async function cleaned (peer, { content, ...rest }) {
  const module = await load()
  try {
    return (await released(peer, module, { how: JSON.stringify(rest), content, keys: [] })).content
  } catch (error) {
    throw coded(error)
  }
}

/** Takes content through the stages; resolves to what they release. */
async function released (peer, module, init) {
  const secret = await secretsOf(peer, module)
  return await work(module, 'prepare', { ...init, secret, network: peer.network, author: peer.id, now: Date.now() })
}

/** Makes the packet of what the stages released. */
async function previewOf (peer, module, { content, type, instructions, preview: json, text, entry }) {
  const preview = JSON.parse(json)
  const prepared = await packetOf(peer, content, type, preview.ttl_secs, preview.quality, instructions)
  try {
    await turn()
    return new Preview(peer, module, prepared, { ...shown(preview), text }, JSON.parse(entry))
  } catch (error) {
    prepared.free()
    throw error
  }
}

/** Makes a packet. Its content is hashed piece by piece, so that the page answers in between. */
async function packetOf (peer, content, ...how) {
  const pieces = peer.pieces()
  for (let at = 0; at < content.length; at += PIECE) {
    if (at > 0) await turn()
    pieces.push(content.subarray(at, at + PIECE))
  }
  return peer.prepare(pieces, ...how)
}

/** Does what privacy-worker.js can: in a worker of its own; here, where there is little to do or no worker starts. */
async function work (module, method, args) {
  const worker = args.content.length > MAX_HERE && await startedWorker()
  if (!worker) return module.methods[method](args)
  try {
    // The caller keeps what it gave.
    const content = args.content.slice()
    const ready = await compiled
    return await new Promise((resolve, reject) => {
      worker.onmessage = ({ data: { value, error } }) => value ? resolve(value) : reject(fail(error.code ?? 'ERR_UNKNOWN', error.message))
      worker.onerror = ({ message }) => reject(fail('ERR_UNKNOWN', message))
      const transfer = [content, args.secret].filter(Boolean).map(({ buffer }) => buffer)
      worker.postMessage({ module: ready, method, args: { ...args, content } }, { transfer })
    })
  } finally {
    worker.terminate()
  }
}

/** Resolves to a worker that can be called, or to nothing: the page's policy may forbid it, the relay may be gone. */
async function startedWorker () {
  try {
    const worker = startWorker(new URL('privacy-worker.js', import.meta.url))
    const isUp = await new Promise(resolve => {
      worker.onmessage = () => resolve(true)
      worker.onerror = () => resolve(false)
      setTimeout(resolve, MAX_LOADING_MS)
    })
    if (isUp) return worker
    worker.terminate()
  } catch {
    // So some browsers say that it is forbidden.
  }
}

/** Lets the page answer. A timer would wait for a second where nobody looks at the page. */
function turn () {
  return new Promise(resolve => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(0)
  })
}

/** What would leave, byte for byte. It leaves with `share`, within ten minutes, or never. */
class Preview {
  #prepared
  #note

  constructor (peer, module, prepared, shown, entry) {
    const { cid, packet, json, blocks } = prepared
    Object.assign(this, shown, { cid, packet, json, blocks })
    this.#prepared = prepared
    this.#note = () => note(peer, module, JSON.stringify({ ...entry, cid, at: new Date() }))
  }

  async share () {
    const prepared = this.#take()
    try {
      prepared.checkAge()
      await this.#note()
    } catch (error) {
      prepared.free()
      throw error
    }
    return await prepared.share()
  }

  discard () {
    if (this.#prepared) this.#take().free()
  }

  #take () {
    if (!this.#prepared) throw fail('ERR_STALE', 'this was shared or discarded before')
    const taken = this.#prepared
    this.#prepared = undefined
    return taken
  }
}

/** Makes or renews the peer's sealing key and publishes its certificate; resolves to when it expires. */
export async function receiveSealed (peer) {
  const module = await load()
  return await inTurn(peer, KEYRING, async () => {
    const before = await peer.record(KEYRING, false)
    let renewed
    let after
    try {
      renewed = module.renewKeyring(before, peer.network, Date.now())
      const { isChanged, key, epoch, from, until } = renewed
      if (isChanged) {
        after = renewed.keyring
        await replace(peer, KEYRING, before, after)
      }
      const expires = new Date(until)
      const packets = isChanged ? [] : await peer.keyPackets(module.keyType(), [peer.id])
      const certificate = peer.certify(key, epoch, from, until)
      if (packets.some(packet => includes(packet, certificate))) return expires
      const ttl = Math.max(1, Math.min(MAX_TTL_SECS, Math.floor((until - Date.now()) / 1000)))
      await shareOwn(peer, module, await packetOf(peer, certificate, module.keyType(), ttl))
      return expires
    } finally {
      renewed?.free()
      after?.fill(0)
      before?.fill(0)
    }
  })
}

/** Fetches a sealed packet and opens it. */
export async function open (peer, cid) {
  const [module, packet] = await Promise.all([load(), peer.get(cid)])
  if (packet.type !== module.sealedType()) throw fail('ERR_INVALID_CONTENT', `${cid} is not sealed: it is of type ${packet.type}`)
  const { author, content } = packet
  const secret = await peer.record(KEYRING, false)
  const given = { secret, network: peer.network, content, author, now: Date.now() }
  const { quality, ...opened } = await work(module, 'open', given)
  return { ...opened, quality: JSON.parse(quality), author }
}

/** Lists what left this tab, and what is left of the profile's privacy budgets: for tensors, and for the learner. */
export async function ledger (peer) {
  const { entries } = JSON.parse(await exportLedger(peer))
  const module = await load()
  const [budget, training] = await Promise.all([BUDGET, TRAINING].map(async name => {
    const [epsilon, delta, spent] = module.budgetOf(await peer.record(name, true), peer.network, name)
    return { epsilon, delta, spent }
  }))
  return { entries: entries.map(camel), budget, training }
}

/**
 * What makes the steps of private learning: see web/src/peer/private.rs. Each booking is on disk before its steps can be taken.
 * A learner that ends leaves to the peer's next one what it booked and did not take.
 */
export async function training (peer) {
  const mine = of(peer)
  mine.steps ??= stepsOf(peer)
  mine.steps.catch(() => { mine.steps = undefined })
  const steps = await mine.steps
  await steps.refresh()
  steps.learners++
  return steps
}

async function stepsOf (peer) {
  const module = await load()
  let stored = await peer.record(TRAINING, true)
  const steps = new module.Steps(stored, peer.network)
  let isBooking = false
  let isFree = false
  const book = async reserved => {
    const { bytes } = reserved
    if (await peer.replaceRecord(TRAINING, true, stored, bytes)) {
      stored = bytes
      // What a peer that is closed does not take is lost.
      return isFree ? reserved.free() : steps.accept(reserved)
    }
    reserved.free()
    stored = await peer.record(TRAINING, true)
    if (!isFree) steps.reread(stored)
  }
  return {
    learners: 0,
    isForgotten: false,
    get spent () { return steps.spent },
    get delta () { return steps.delta },
    step: (parameters, examples, gradient) => steps.step(parameters, examples, gradient),
    book () {
      const reserved = isBooking ? undefined : steps.reserve()
      if (!reserved) return
      isBooking = true
      // What is not on disk is not taken; the next call tries again.
      book(reserved).catch(() => {}).finally(() => { isBooking = false })
    },
    /** Other tabs may have booked since the learner before. */
    async refresh () {
      if (isBooking) return
      stored = await peer.record(TRAINING, true)
      steps.reread(stored)
    },
    /** A learner ends. */
    free () {
      this.learners--
      this.end()
    },
    /** Erases what nobody takes any more. */
    end () {
      if (isFree || !this.isForgotten || this.learners > 0) return
      isFree = true
      steps.free()
    }
  }
}

/** Everything that left this tab, as JSON. */
export async function exportLedger (peer) {
  const module = await load()
  const [shared, learned] = await Promise.all([JOURNAL, LEARNED].map(name => peer.record(name, false)))
  return module.journalOf(textOf(shared), textOf(learned))
}

/** Takes back packets of the peer's own; resolves to the revocation's content id. */
export async function revoke (peer, cids) {
  const module = await load()
  return await shareOwn(peer, module, await peer.prepareRevocation(cids))
}

/** Notes a packet that nobody is asked about, for it holds nothing of the owner's, and lets it leave. */
async function shareOwn (peer, module, prepared) {
  try {
    await note(peer, module, plainEntry(prepared))
  } catch (error) {
    prepared.free()
    throw error
  }
  return await prepared.share()
}

/** Writes an entry to the ledger; it is on disk when this resolves. What cannot be noted must not leave. */
function note (peer, module, entry) {
  return inTurn(peer, JOURNAL, async () => {
    const before = await peer.record(JOURNAL, false)
    try {
      const after = module.journalWith(textOf(before), entry)
      await replace(peer, JOURNAL, before, new TextEncoder().encode(after))
    } catch (error) {
      if (error?.code !== 'ERR_DAMAGED') throw error
      // Nothing is repaired and nothing lost: the owner hears of it, and the next packet begins a new list.
      const aside = `${JOURNAL}-damaged`
      await replace(peer, aside, await peer.record(aside, false), before)
      await replace(peer, JOURNAL, before, new TextEncoder().encode(module.journalOf()))
      throw fail('ERR_NOT_KEPT', `the ledger was damaged and is kept aside as ${aside}; share again to begin a new one: ${error.message}`)
    }
  })
}

/** The entry of a packet that leaves as it is, for everybody. */
function plainEntry ({ cid, json, size: bytes }) {
  const { packet_type: type, compatibility_hash: digest } = JSON.parse(json)
  return JSON.stringify({
    at: new Date().toISOString(), cid, packet_type: type, name: null, bytes, readers: 'everybody', findings: {}, dropped_total: 0,
    epsilon_after: null, content_digest: digest, is_verbatim: true
  })
}

/** The text of a stored journal; none where there is none. */
function textOf (bytes) {
  try {
    return bytes && new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw fail('ERR_DAMAGED', 'the stored ledger is damaged: it is not UTF-8')
  }
}

/** Erases what is kept in memory for a peer that is closed. */
export async function forget (peer) {
  const steps = await of(peer).steps?.catch(() => {})
  kept.delete(peer)
  if (steps) {
    steps.isForgotten = true
    steps.end()
  }
}

/** The secrets that the stages go by; made when they are first needed. */
function secretsOf (peer, module) {
  return inTurn(peer, SECRETS, async () => {
    const before = await peer.record(SECRETS, false)
    if (before) return before
    const fresh = module.newSecrets()
    try {
      await replace(peer, SECRETS, undefined, fresh)
      return fresh
    } catch (error) {
      fresh.fill(0)
      throw error
    }
  })
}

/** The ranges that others have told of themselves, newest first: facts hide among them. */
async function publishedRanges (peer) {
  const packets = await peer.query()
  return packets
    .filter(({ quality_metrics: quality }) => Object.keys(quality).some(name => name.startsWith('range.')))
    .map(({ author, quality_metrics: quality }) => [author, quality])
}

/** Books one release; the booking is on disk when this resolves, to what makes it again. Other tabs may book at the same time. */
async function reserve (peer, module, noiseMultiplier) {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const before = await peer.record(BUDGET, true)
    const reserved = module.reserve(before, peer.network, noiseMultiplier)
    const { bytes } = reserved
    reserved.free()
    if (await peer.replaceRecord(BUDGET, true, before, bytes)) return { before, noiseMultiplier }
  }
  throw fail('ERR_BUSY', 'other tabs book in the privacy budget all the time')
}

async function replace (peer, name, before, bytes) {
  const isReplaced = await peer.replaceRecord(name, false, before, bytes)
  if (!isReplaced) throw fail('ERR_NOT_KEPT', `the stored ${name} changed meanwhile`)
}

/** Runs `work` when all earlier work of the peer with the record `name` is done. */
function inTurn (peer, name, work) {
  const { turns } = of(peer)
  const result = Promise.resolve(turns[name]).then(work)
  turns[name] = result.catch(() => {})
  return result
}

/** The preview as the API shows it. Keys of maps (kinds, names of metrics) stay as they are. */
function shown (preview) {
  const { findings, checks, noise, ...rest } = preview
  return { ...camel(rest), findings: findings.map(camel), checks: checks.map(camel), noise: noise && camel(noise) }
}

function camel (object) {
  const name = key => key.replace(/_(.)/g, (_, letter) => letter.toUpperCase())
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [name(key), value]))
}

async function bytesOf (content) {
  if (typeof content === 'string') return new TextEncoder().encode(content)
  if (content instanceof Blob) return new Uint8Array(await content.arrayBuffer())
  if (content instanceof ArrayBuffer) return new Uint8Array(content)
  if (ArrayBuffer.isView(content)) return new Uint8Array(content.buffer, content.byteOffset, content.byteLength)
  throw fail('ERR_INVALID_ARGUMENT', 'content must be a string, Blob, ArrayBuffer or typed array')
}

/** Whether `bytes` hold `part` in one piece. */
function includes (bytes, part) {
  for (let at = bytes.indexOf(part[0]); at >= 0 && at + part.length <= bytes.length; at = bytes.indexOf(part[0], at + 1)) {
    if (part.every((byte, i) => bytes[at + i] === byte)) return true
  }
  return false
}

/** A wasm that runs out of memory throws what has no code. */
function coded (error) {
  return error?.code ? error : fail('ERR_UNKNOWN', String(error?.message ?? error))
}

const WASM = new URL('chorus_privacy_bg.wasm', import.meta.url)
/** Bytes that are hashed between two turns of the page. Source: core, bounds::LEAF_SIZE. */
const PIECE = 256 * 1024
/** Bytes that are searched, sealed or opened in the page itself: starting a worker takes longer. Measured: 7 ms, unoptimised. */
const MAX_HERE = 64 * 1024
/** What chorus_privacy.js throws where tensors are to get noise and no booking was given. */
const NEEDS_NOISE = 'ERR_NEEDS_NOISE'
const KEYRING = 'keyring'
const SECRETS = 'secrets'
const JOURNAL = 'journal'
/** Written by chorus_web.js. */
const LEARNED = 'journal-learned'
const BUDGET = 'budget'
const TRAINING = 'training'
/** Longest wait for the second wasm. Source: the wait for anything that is fetched from peers, core's node. */
const MAX_LOADING_MS = 30_000
/** Bookings that are tried when other tabs book at the same time. Guess. */
const MAX_ATTEMPTS = 16
/** A packet's longest life. Source: core, packet::MAX_TTL_SECS. */
const MAX_TTL_SECS = 30 * 86400
