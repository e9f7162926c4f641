// How small a model gets before it is shared, and how an engram that came is let into another: dialogs over the page or the
// widget. Loaded when the first model is dropped or opened. All heavy work is done by engram.js, in a worker.

import { MAX_OBJECT } from './chorus.js'
import { open as openDialog, save, share as ask } from './dialog.js'
import { clean, integrate, open, qualityOf, tooLarge, unpack, view } from './engram.js'
import { cleaned, open as openSealed } from './privacy.js'

/** Shows how small a model gets, packs it as the person says and asks whether that may leave; resolves as `ask` does. */
export async function share (peer, file, root) {
  const desk = await Desk.open(root, `Reading “${file.name}” …`)
  const state = { name: file.name, points: [], limit: MAX_OBJECT, renamed: [] }
  try {
    const [{ offerHtml, inspect }, own] = await Promise.all([view(), desk.keep(open(file, { signal: desk.signal }))])
    // What is not for strangers is taken out of names before anything is packed.
    const model = await clean(own, init => cleaned(peer, init), { signal: desk.signal })
    if (model !== own) desk.keep(model)
    state.renamed = changed(own, model)
    remember(file)
    Object.assign(state, {
      bytes: model.bytes, parameters: model.parameters, tensors: model.tensors.length,
      dtypes: [...new Set(model.tensors.map(({ dtype }) => dtype))]
    })
    let base
    const show = () => desk.show(offerHtml(JSON.stringify(state)))
    const measure = async () => {
      Object.assign(state, { points: [], chosen: undefined, trouble: undefined, base: base && desk.baseName })
      show()
      state.points = await model.curve({ base, signal: desk.signal })
      state.chosen = proposed(state.points, base !== undefined)
      show()
    }
    const withBase = async next => {
      const before = base
      base = next
      await before?.close()
      await measure()
    }
    desk.onChoice = ({ dataset, value, files }) => {
      if (dataset.choice === 'point') {
        state.chosen = Number(value)
        show()
      }
      if (dataset.choice === 'base' && files[0]) {
        desk.baseName = files[0].name
        desk.try(async () => await withBase(await desk.keep(open(files[0], { signal: desk.signal }))), state, show)
      }
    }
    desk.try(measure, state, show)
    for (let answer; (answer = await desk.answer()) !== 'no';) {
      if (answer === 'whole') desk.try(() => withBase(undefined), state, show)
      if (answer === 'plain') {
        desk.close()
        return await ask(peer, file, root)
      }
      if (answer !== 'pack') continue
      const packed = await desk.pack(model, state, base, show)
      if (!packed) continue
      desk.close()
      // What it has become, not what was foretold.
      const quality = qualityOf(packed.length, model.parameters, JSON.parse(inspect(packed)).decibels)
      return await ask(peer, new File([packed], `${file.name}.engram`), root, { type: 'engram', quality })
    }
  } catch (error) {
    await desk.end(error)
  } finally {
    desk.close()
  }
}

/** Shows an engram that came, and lets it into a model of the person's. */
export async function receive (peer, cid, root) {
  const desk = await Desk.open(root, 'Fetching it …')
  const state = { models: [], trail: [], isRunning: false }
  try {
    const [{ receivedHtml, inspect }, packet] = await Promise.all([view(), contentOf(peer, cid)])
    const show = () => desk.show(receivedHtml(JSON.stringify(state)))
    Object.assign(state, { name: packet.name || 'unnamed', author: packet.author, bytes: packet.content.length, models: [...seen.keys()] })
    state.engram = JSON.parse(inspect(packet.content))
    show()
    let integration
    let after
    const into = file => desk.try(async () => {
      const model = await desk.keep(open(file, { signal: desk.signal }))
      Object.assign(state, { model: file.name, trail: [], digests: undefined, isRunning: true, trouble: undefined })
      show()
      try {
        integration = await desk.keep(integrate(model, packet.content, { cid, signal: desk.signal, onStep: ({ trail }) => { state.trail = trail; show() } }))
        await integration.run()
        after = await desk.keep(integration.model({ signal: desk.signal }))
        Object.assign(state, { trail: integration.trail, digests: [model.digest, after.digest] })
        remember(file)
      } finally {
        state.isRunning = false
      }
      show()
    }, state, show)
    desk.onChoice = ({ dataset, value, files }) => {
      if (dataset.choice === 'model') into([...seen.values()][Number(value)])
      if (dataset.choice === 'file' && files[0]) into(files[0])
    }
    const actions = {
      unpack: async () => {
        const whole = await desk.keep(unpack(packet.content, { signal: desk.signal }))
        save(await whole.safetensors(), state.name.replace(/(\.safetensors)?\.engram$/, '') + '.safetensors', BINARY)
      },
      undo: async () => {
        await integration.undo()
        after = await desk.keep(integration.model({ signal: desk.signal }))
        Object.assign(state, { trail: integration.trail, digests: [state.digests[0], after.digest] })
        show()
      },
      save: async () => save(await after.safetensors(), state.model.replace(/\.safetensors$/, '') + '.blended.safetensors', BINARY)
    }
    for (let answer; (answer = await desk.answer()) !== 'no';) {
      if (actions[answer]) await desk.try(actions[answer], state, show)
    }
  } catch (error) {
    await desk.end(error)
  } finally {
    desk.close()
  }
}

/** A dialog, and what is held in the worker while it is open. */
class Desk {
  #dialog
  #ended = new AbortController()
  #held = []

  static async open (root, words) {
    const desk = new Desk()
    desk.#dialog = await openDialog(root, words, SHEET)
    desk.#dialog.element.addEventListener('click', ({ target }) => {
      const input = target.dataset?.pick && desk.#dialog.element.querySelector(`[data-choice="point"][value="${target.dataset.pick}"]:enabled`)
      input?.click()
    })
    return desk
  }

  /** Ends with the dialog. */
  get signal () { return this.#ended.signal }

  set onChoice (listener) { this.#dialog.onChoice = listener }

  show (html) { if (this.#dialog.isOpen) this.#dialog.show(html) }

  async answer () { return await this.#dialog.answer() }

  /** Holds what is made until the dialog is closed; what comes later is closed at once. */
  async keep (making) {
    const made = await making
    if (this.signal.aborted) made.close()
    else this.#held.push(made)
    return made
  }

  /** Runs `work`; what it throws is shown and nothing is lost. */
  async try (work, state, show) {
    this.#dialog.busy()
    try {
      await work()
    } catch (error) {
      if (this.signal.aborted) return
      state.trouble = String(error?.message ?? error)
    }
    show()
  }

  /** Packs as was chosen; resolves to undefined where it was stopped or could not be done. */
  async pack (model, state, base, show) {
    const { codec, decibels } = state.points[state.chosen]
    const stopping = new AbortController()
    const signal = AbortSignal.any([this.signal, stopping.signal])
    Object.assign(state, { packing: 0, trouble: undefined })
    show()
    const wish = codec === 'lossy' ? { codec, decibels } : { codec }
    const packing = model.pack({ ...wish, base }, { signal, onProgress: share => this.#progress(share) })
    const done = packing.then(() => 'done', () => 'done')
    const answer = await Promise.race([this.#dialog.answer(), done])
    if (answer !== 'done') {
      stopping.abort()
      if (answer === 'no') this.#dialog.dismiss()
    }
    state.packing = undefined
    try {
      const packed = await packing
      if (answer !== 'done') throw new DOMException('stopped', 'AbortError')
      if (packed.length <= MAX_OBJECT) return packed
      state.trouble = tooLarge(packed.length, model.parameters)
    } catch (error) {
      if (!signal.aborted) state.trouble = String(error?.message ?? error)
    }
    show()
  }

  /** Shows what ended the whole, until the person closes it. */
  async end (error) {
    if (!this.#dialog.isOpen || this.signal.aborted) return
    this.#dialog.fail(error, 'Close', null)
    while (await this.#dialog.answer() !== 'no') { /* nothing else to answer */ }
  }

  close () {
    this.#ended.abort()
    this.#dialog.close()
    for (const held of this.#held.splice(0)) held.close()
  }

  #progress (share) {
    const meter = this.#dialog.element.querySelector('.meter')
    meter?.setAttribute('aria-valuenow', Math.round(share * 100))
    meter?.querySelector('rect').setAttribute('width', share * 100)
  }
}

/** A packet with its content, opened where it was sealed to this peer. */
async function contentOf (peer, cid) {
  const packet = await peer.get(cid)
  if (packet.type !== 'sealed') return packet
  const opened = await openSealed(peer, cid)
  return { ...packet, name: opened.name, content: opened.content }
}

/** The place of what is proposed: the smallest that is exact enough, or the most exact that may be shared. */
function proposed (points, hasBase) {
  const least = hasBase ? LEAST_DIFFERENCE_DB : LEAST_DB
  const fitting = points
    .map((point, at) => ({ ...point, at, exactness: point.decibels ?? Infinity }))
    .filter(({ codec, bytes }) => CHOICES.includes(codec) && bytes <= MAX_OBJECT)
  const [first] = fitting.filter(({ exactness }) => exactness >= least).toSorted((a, b) => a.bytes - b.bytes)
  return (first ?? fitting.toSorted((a, b) => b.exactness - a.exactness)[0])?.at
}

/** Names and notes that are other ones now: before and after, or nothing. */
function changed (before, after) {
  const names = before.tensors.map(({ name }, at) => [name, after.tensors[at].name])
  const notes = Object.entries(before.metadata).map(([key, value]) => [`${key}: ${value}`, key in after.metadata ? `${key}: ${after.metadata[key]}` : ''])
  return [...names, ...notes].filter(([own, left]) => own !== left)
}

/** Keeps a file at hand, not its bytes: the next engram may be for it. */
function remember (file) {
  seen.delete(file.name)
  seen.set(file.name, file)
  if (seen.size > MAX_SEEN) seen.delete(seen.keys().next().value)
}

const seen = new Map()
/** Files that are kept at hand. Guess. */
const MAX_SEEN = 4
/**
 * Least exactness of what is proposed, in decibels: of whole weights, and of a difference, of which less is enough. Source:
 * `cargo xtask bench engram-lossy`: weights at 3.6 bits and differences at half a bit lose next to nothing.
 */
const LEAST_DB = 20
const LEAST_DIFFERENCE_DB = 5
/** Codecs that a person may choose. */
const CHOICES = ['fast', 'neural', 'smallest', 'lossy']
const BINARY = 'application/octet-stream'
const SHEET = new URL('studio.css', import.meta.url)
