// Engrams in a page: packing what a model has learned, unpacking it, and letting it into another. Types: engram.d.ts.
//
// Everything slow is done in workers, each with a wasm memory of its own: one for each engram and each integration. Calls
// that cannot be stopped half-way run in a worker that is ended.

import { MAX_OBJECT, compile, fail, partsOf, startWorker } from './chorus.js'

let compiling

/** Loads the wasm once; workers share the compiled code. */
function load () {
  compiling ??= compile(fetch(new URL('chorus_engram_bg.wasm', import.meta.url))).catch(error => {
    compiling = undefined
    throw fail('ERR_LOAD', `the wasm of engrams cannot be loaded: ${error?.message ?? error}`)
  })
  return compiling
}

/** Loads the wasm into the page itself, for what is quick: what dialogs show. For studio.js. */
export async function view () {
  const [wrapper, module] = await Promise.all([import('./chorus_engram.js'), load()])
  wrapper.initSync({ module })
  return wrapper
}

/** A worker with a wasm of its own. */
class Thread {
  #worker
  #calls = new Map()
  #last = 0

  /** Starts one; `signal` ends it while it starts. */
  static async start (signal) {
    const thread = new Thread()
    try {
      const module = await stoppable(load(), signal)
      thread.#worker = startWorker(new URL('engram-worker.js', import.meta.url))
      thread.#worker.onmessage = ({ data }) => thread.#on(data)
      thread.#worker.onerror = event => thread.end(fail('ERR_LOAD', `the worker of engrams does not start: ${event.message ?? 'its script cannot be loaded'}`))
      await thread.call('start', [module], { signal, isEnding: true })
      return thread
    } catch (error) {
      thread.end(error)
      throw error
    }
  }

  /**
   * Calls a method of engram-worker.js. `isEnding`: it cannot be stopped half-way, so that the signal ends the worker.
   */
  call (method, args, { signal, onProgress, transfer = [], isEnding = false } = {}) {
    if (signal?.aborted) {
      if (isEnding) this.end()
      return Promise.reject(aborted(signal))
    }
    if (!this.#worker) return Promise.reject(fail('ERR_CLOSED', 'the engram is closed'))
    const id = ++this.#last
    const { promise, resolve, reject } = deferred()
    const stop = () => {
      if (isEnding) this.end(aborted(signal))
      else this.#worker?.postMessage({ abort: id })
      reject(aborted(signal))
    }
    signal?.addEventListener('abort', stop)
    this.#calls.set(id, { resolve, reject, onProgress })
    this.#worker.postMessage({ id, method, args }, { transfer: [...new Set(transfer)] })
    return promise.finally(() => {
      this.#calls.delete(id)
      signal?.removeEventListener('abort', stop)
    })
  }

  /** Ends the worker and frees its memory; who waits for it gets `reason`. */
  end (reason = fail('ERR_CLOSED', 'the engram was closed')) {
    this.#worker?.terminate()
    this.#worker = undefined
    for (const { reject } of this.#calls.values()) reject(reason)
    this.#calls.clear()
  }

  #on ({ id, value, error, progress, isTrap }) {
    const call = this.#calls.get(id)
    if (progress !== undefined) return tell(call?.onProgress, progress)
    if (error) call?.reject(fail(error.code, error.message))
    else call?.resolve(value)
    if (isTrap) this.end(fail(error.code, error.message))
  }
}

/** Opens a safetensors file, or tensors. */
export async function open (content, { signal, transfer = false } = {}) {
  const parts = contentOf(content, transfer)
  const thread = await Thread.start(signal)
  return await opened(thread, thread.call('open', [parts], { signal, isEnding: true, transfer: buffers(parts) }))
}

/** Unpacks an engram. */
export async function unpack (packed, { base, layers, signal, onProgress, transfer = false } = {}) {
  const [bytes] = contentOf(packed, transfer)
  const other = await baseOf(base, signal)
  const thread = await Thread.start(signal)
  const call = thread.call('unpack', [bytes, other, layers], { signal, onProgress, isEnding: true, transfer: buffers([bytes, other]) })
  return await opened(thread, call)
}

async function opened (thread, call) {
  try {
    return new Engram(thread, await call)
  } catch (error) {
    thread.end()
    throw error
  }
}

/** Packs; resolves to the bytes and, where they lose something, the ratio of signal to noise. */
let packed
/** Resolves to the engram, or to one whose tensors and metadata have the names that may leave. */
let withCleanNames

/** Tensors in the memory of a worker. Made by `open` and `unpack`. */
class Engram {
  #thread

  static {
    packed = async (engram, options = {}, { signal, onProgress } = {}) => {
      const { codec, wanted } = read(options)
      const base = await baseOf(options.base, signal)
      if (codec !== 'lossy') {
        const bytes = await engram.#thread.call('pack', [codec, base], { signal, onProgress, transfer: buffers([base]) })
        return { bytes }
      }
      // On a copy: this cannot be stopped half-way, and so the worker is ended.
      const file = await engram.safetensors({ signal })
      const thread = await Thread.start(signal)
      try {
        return await thread.call('packLossy', [file, base, wanted], { signal, onProgress, isEnding: true, transfer: buffers([file, base]) })
      } finally {
        thread.end()
      }
    }

    withCleanNames = async (engram, cleaned, identifiers, how) => {
      const names = await engram.#thread.call('names', [], how)
      const clean = await cleaned({ type: 'engram', content: names, identifiers })
      if (clean.length === names.length && clean.every((byte, i) => byte === names[i])) return engram
      return await open(await engram.#thread.call('renamed', [clean], how), { ...how, transfer: true })
    }
  }

  constructor (thread, info) {
    this.#thread = thread
    Object.assign(this, info, { metadata: Object.fromEntries(info.metadata) })
  }

  async safetensors ({ signal } = {}) { return await this.#thread.call('safetensors', [], { signal }) }

  async curve ({ signal, base, onPoint } = {}) {
    const other = await baseOf(base, signal)
    return await this.#thread.call('curve', [other], { signal, onProgress: onPoint, transfer: buffers([other]) })
  }

  async pack (options, how) { return (await packed(this, options, how)).bytes }

  close () { this.#thread.end() }
}

/** Packs an engram and shares it with each target. For `shareEngram` of chorus.js, whose peer it is. */
export async function share (peer, cleaned, engram, targets = ['everybody'], options = {}) {
  const { name, ttl, instructions, identifiers, verbatim, signal, onProgress, ...how } = options
  const all = [...new Set([targets].flat().map(String))]
  if (all.length === 0) throw fail('ERR_INVALID_ARGUMENT', 'targets must be everybody or peer ids, at least one')
  if (!(engram instanceof Engram)) throw fail('ERR_INVALID_ARGUMENT', 'engram must be an Engram, from open or unpack')
  const clean = verbatim ? engram : await withCleanNames(engram, cleaned, identifiers, { signal })
  try {
    if (clean !== engram && how.base) throw fail('ERR_UNCLEAN', 'names of tensors hold what must not leave, and a base is found by them: share without base, or rename them')
    const { bytes: content, decibels } = await packed(clean, how, { signal, onProgress })
    if (content.length > MAX_OBJECT) throw fail('ERR_TOO_LARGE', tooLarge(content.length, engram.parameters))
    const quality = qualityOf(content.length, engram.parameters, decibels)
    const results = []
    for (const target of all) {
      const recipients = target === 'everybody' ? undefined : [target]
      try {
        if (signal?.aborted) throw aborted(signal)
        const cid = await peer.share({ type: 'engram', content, name, ttl, instructions, identifiers, verbatim, quality, recipients })
        results.push({ target, cid })
      } catch (error) {
        results.push({ target, error: { code: error?.code ?? 'ERR_UNKNOWN', message: String(error?.message ?? error) } })
      }
    }
    return results
  } finally {
    if (clean !== engram) clean.close()
  }
}

/** What a packet says of an engram that it carries. For studio.js. */
export function qualityOf (bytes, parameters, decibels) {
  const quality = { parameters }
  // Of no numbers there is no mean, and what loses nothing has no ratio.
  if (parameters > 0) quality.bits_per_number = bytes * 8 / parameters
  if (Number.isFinite(decibels)) quality.snr_db = decibels
  return quality
}

/** Says that an engram is too large, and what would fit. For studio.js. */
export function tooLarge (bytes, parameters) {
  // A hundredth for header and index.
  const fitting = Math.floor(MAX_OBJECT * 0.99 * 8 / parameters * 100) / 100
  return `the engram has ${(bytes / 1e6).toFixed(1)} MB, at most ${MAX_OBJECT / 1e6} MB can be shared; ${fitting} bits per number would fit`
}

/** Resolves to the engram, or to one whose names may leave, as `cleaned` of privacy.js says. For studio.js. */
export async function clean (engram, cleaned, how) { return await withCleanNames(engram, cleaned, undefined, how) }

/** Starts to let an engram, or several, into a model. */
export async function integrate (model, engrams, { cid = '', evaluate, onStep, signal, transfer = false, ...options } = {}) {
  const list = Array.isArray(engrams) ? engrams : [{ bytes: engrams, cid }]
  const given = list.map(({ bytes, cid = '', weight = 1 }) => ({ bytes: contentOf(bytes, transfer)[0], cid: String(cid), weight: Number(weight) }))
  if (!(model instanceof Engram)) throw fail('ERR_INVALID_ARGUMENT', 'model must be an Engram, from open or unpack')
  if (evaluate !== undefined && typeof evaluate !== 'function') throw fail('ERR_INVALID_ARGUMENT', 'evaluate must be a function')
  const bytes = await model.safetensors({ signal })
  const thread = await Thread.start(signal)
  try {
    const transfer = buffers([bytes, ...given.map(({ bytes }) => bytes)])
    const state = await thread.call('integrate', [bytes, given, options], { signal, isEnding: true, transfer })
    return new Integration(thread, state, { model, evaluate, onStep })
  } catch (error) {
    thread.end()
    throw error
  }
}

/** An engram, or several, on the way into a model. Made by `integrate`. */
class Integration {
  #thread
  #how

  constructor (thread, state, how) {
    this.#thread = thread
    this.#how = how
    this.#show(state)
  }

  async run ({ signal } = {}) {
    if (this.step === 'assess') {
      const measured = this.#how.evaluate && [await this.#metric(this.#how.model), await this.#metricOf('shadow', signal)]
      if (this.step === 'assess') await this.#do('assess', measured ?? [])
    }
    while (this.step === 'blend') {
      if (signal?.aborted) throw aborted(signal)
      await this.measure(undefined, { signal })
    }
    return this.step
  }

  async measure (metric, { signal } = {}) {
    const got = metric ?? await this.#metricOf('now', signal)
    // It may have been undone meanwhile.
    if (this.step === 'blend' || this.step === 'monitor') await this.#do('measured', [got])
    return this.step
  }

  async undo () { await this.#do('undo', []) }

  async model ({ signal } = {}) { return await open(await this.#thread.call('now', [], { signal }), { signal, transfer: true }) }

  close () { this.#thread.end() }

  async #do (method, args) { this.#show(await this.#thread.call(method, args)) }

  #show (state) {
    Object.assign(this, state)
    tell(this.#how.onStep, this)
  }

  async #metricOf (which, signal) {
    if (!this.#how.evaluate) return undefined
    const engram = await open(await this.#thread.call(which, [], { signal }), { signal, transfer: true })
    try {
      return await this.#metric(engram)
    } finally {
      engram.close()
    }
  }

  async #metric (engram) {
    const metric = await this.#how.evaluate(engram)
    if (!Number.isFinite(metric)) throw fail('ERR_INVALID_ARGUMENT', `evaluate must return a finite number, got ${metric}`)
    return metric
  }
}

/** Reads how to pack. */
function read ({ codec, bits, decibels, layers, exact }) {
  const isLossy = bits !== undefined || decibels !== undefined
  const chosen = codec ?? (isLossy ? 'lossy' : 'smallest')
  if (!CODECS.includes(chosen)) throw fail('ERR_INVALID_ARGUMENT', `codec must be one of ${CODECS.join(', ')}, got ${JSON.stringify(codec)}`)
  if ((chosen === 'lossy') !== isLossy) throw fail('ERR_INVALID_ARGUMENT', 'bits or decibels are for the codec lossy, which needs one of them')
  return { codec: chosen, wanted: { bits, decibels, layers, exact } }
}

/** The bytes of a file in parts that may be handed over to a worker. */
function contentOf (content, isTransferred) {
  const own = part => isTransferred ? part : part.slice()
  if (content instanceof Blob) return [content]
  if (content instanceof ArrayBuffer) return [own(new Uint8Array(content))]
  if (ArrayBuffer.isView(content)) return [own(new Uint8Array(content.buffer, content.byteOffset, content.byteLength))]
  if (content === null || typeof content !== 'object') throw fail('ERR_INVALID_ARGUMENT', 'content must be a Blob, ArrayBuffer, typed array or tensors by name')
  const [header, ...parts] = partsOf(content)
  return [header, ...parts.map(own)]
}

async function baseOf (base, signal) {
  if (base === undefined) return undefined
  if (!(base instanceof Engram)) throw fail('ERR_INVALID_ARGUMENT', 'base must be an Engram, from open or unpack')
  return await base.safetensors({ signal })
}

const buffers = parts => parts.filter(part => ArrayBuffer.isView(part)).map(part => part.buffer)

const aborted = signal => Object.assign(fail('ERR_ABORTED', 'it was cancelled'), { cause: signal?.reason })

/** Resolves as `promise` does, or rejects when `signal` says so. */
async function stoppable (promise, signal) {
  if (!signal) return await promise
  const { promise: late, reject } = deferred()
  const stop = () => reject(aborted(signal))
  signal.addEventListener('abort', stop)
  if (signal.aborted) stop()
  return await Promise.race([promise, late]).finally(() => signal.removeEventListener('abort', stop))
}

function deferred () {
  let resolve
  let reject
  const promise = new Promise((...ends) => { [resolve, reject] = ends })
  return { promise, resolve, reject }
}

/** What a listener throws is not the work's fault. */
function tell (listener, value) {
  try {
    listener?.(value)
  } catch (error) {
    reportError(error)
  }
}

const CODECS = ['fast', 'neural', 'smallest', 'lossy']
