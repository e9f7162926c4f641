// What a person is asked before something leaves, and the list of what left: dialogs over the dashboard or the widget.
// Loaded when first needed. `peer` is a ChorusPeer of chorus_web.js; `root` the element that holds the view.

import { MAX_OBJECT, fail } from './chorus.js'
import { exportLedger, ledger, load, prefetch as fetchAhead, preview, receiveSealed } from './privacy.js'
import { adopt, sheetOf } from './sheet.js'

/** Asks whether a file may leave, as what `more` says of it; resolves to its content id, or to undefined where it stays. */
export async function share (peer, file, root, more) {
  // Nobody is asked about what cannot be shared. A model is packed first, by studio.js.
  if (file.size > MAX_OBJECT) throw fail('ERR_TOO_LARGE', `“${file.name}” is larger than ${MAX_OBJECT / 1e6} MB, the most that one file may have.`)
  const dialog = await open(root, `Looking through “${file.name}” …`)
  const init = { type: 'file', content: file, name: file.name, ...more }
  // What is proposed. Guess: costs a quarter of the budget.
  let wish = { clipNorm: 1, noiseMultiplier: 4 }
  const chosen = new Set()
  let offer
  let turn = 0
  // Every choice is looked through anew: what is shown is what would leave. Noise is paid each time, so it is there only
  // when it was asked for last.
  const look = async noise => {
    const mine = ++turn
    dialog.busy()
    const recipients = chosen.size > 0 && { recipients: [...chosen] }
    const looks = await Promise.allSettled([load(), readersOf(peer), preview(peer, { ...init, ...recipients, noise })])
    const fresh = looks[2].value
    if (mine !== turn || !dialog.isOpen) return fresh?.discard()
    offer?.discard()
    offer = undefined
    const failed = looks.find(({ status }) => status === 'rejected')
    if (failed) {
      fresh?.discard()
      return dialog.fail(failed.reason, 'Keep it here')
    }
    offer = fresh
    const { cid, packet, json, blocks, share, discard, ...shown } = fresh
    dialog.show(looks[0].value.previewHtml(JSON.stringify({
      preview: shown,
      wish,
      readers: looks[1].value.map(id => ({ id, isChosen: chosen.has(id) })),
      json,
      leaving: [packet.length, ...blocks.map(block => block.length)]
    })))
    dialog.element.dataset.cid = cid
  }
  dialog.onChoice = ({ dataset, value, checked }) => {
    if (dataset.choice === 'verbatim') init.verbatim = checked
    if (dataset.choice === 'everybody') chosen.clear()
    if (dataset.choice === 'reader') checked ? chosen.add(value) : chosen.delete(value)
    look()
  }
  look()
  try {
    for (let answer; (answer = await dialog.answer()) !== 'no';) {
      // A refusal offers this where the owner may decide.
      if (answer === 'verbatim') init.verbatim = true
      if (answer === 'noise') {
        wish = dialog.noise()
        look(wish)
        continue
      }
      if (answer !== 'yes' || !offer) {
        look()
        continue
      }
      const ready = offer
      offer = undefined
      dialog.busy()
      try {
        return await ready.share()
      } catch (error) {
        // Too old to leave: it is looked through once more.
        if (error?.code === 'ERR_STALE') look()
        else dialog.fail(error, 'Keep it here')
      }
    }
  } finally {
    turn++
    offer?.discard()
    dialog.close()
  }
}

/** Shows what left this tab, until the person closes it. */
export async function showLedger (peer, root) {
  const dialog = await open(root, 'Reading the list …')
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })
  let sealedUntil
  const look = async () => {
    const [module, { entries, budget, training }] = await Promise.all([load(), ledger(peer)])
    const timed = entries.map(entry => ({ ...entry, time: format.format(new Date(entry.until ?? entry.at)) }))
    dialog.show(module.ledgerHtml(JSON.stringify({ entries: timed, budget, training, sealedUntil })))
  }
  const actions = {
    again: look,
    export: async () => save(await exportLedger(peer), 'chorus-ledger.json'),
    receive: async () => {
      dialog.busy()
      sealedUntil = format.format(await receiveSealed(peer))
      await look()
    }
  }
  const run = action => action?.().catch(error => dialog.isOpen && dialog.fail(error, 'Close'))
  run(look)
  for (let answer; (answer = await dialog.answer()) !== 'no';) run(actions[answer])
  dialog.close()
}

/** Closes every dialog over the view in `root`: nothing that was asked there leaves. */
export function closeAll (root) {
  for (const dialog of dialogs.get(root) ?? []) dialog.dismiss()
}

/** Ids of the others that have published a key, the newest first. */
async function readersOf (peer) {
  const packets = await peer.query('seal-key', undefined, 64)
  const ids = packets.map(packet => packet.author).filter(id => id !== peer.id)
  return [...new Set(ids)].slice(0, 16)
}

class Dialog {
  element = document.createElement('dialog')
  onChoice = () => {}
  #root
  #body = document.createElement('div')
  #title = `chorus-ask-${++count}`
  /** Answers that nobody has taken yet, or the one who waits for one. */
  #answers = []
  #waiting

  constructor (root, words) {
    this.#root = root
    this.element.className = 'chorus ask'
    this.element.setAttribute('aria-labelledby', this.#title)
    this.#body.className = 'inside'
    this.element.append(this.#body)
    this.element.addEventListener('click', ({ target }) => {
      const answer = target === this.element ? 'no' : target.closest('[data-answer]')?.dataset.answer
      const isBusy = this.#body.getAttribute('aria-busy') === 'true'
      if (answer === 'no' || (answer && !isBusy)) this.#say(answer)
    })
    this.element.addEventListener('change', ({ target }) => { if (target.dataset.choice) this.onChoice(target) })
    // Escape, and whatever else closes it.
    this.element.addEventListener('close', () => this.#say('no'))
    this.#tell(words, 'wait', 'Cancel')
    root.append(this.element)
    if (!dialogs.has(root)) dialogs.set(root, new Set())
    dialogs.get(root).add(this)
    this.element.showModal()
  }

  get isOpen () { return this.element.open }

  answer () {
    if (this.#answers.length > 0) return Promise.resolve(this.#answers.shift())
    return new Promise(resolve => { this.#waiting = resolve })
  }

  /** Shows HTML that view.rs has made, of escaped texts. Buttons stay in sight while the rest scrolls. */
  show (html) {
    const [before, place] = [this.#focused(), this.#body.firstElementChild?.scrollTop ?? 0]
    const isOpen = this.element.querySelector('details')?.open ?? false
    const body = document.createElement('div')
    body.className = 'body'
    body.innerHTML = html
    this.#body.replaceChildren(body, ...body.querySelectorAll(':scope > .buttons'))
    this.#body.removeAttribute('aria-busy')
    const title = body.querySelector('h2')
    title.id = this.#title
    title.tabIndex = -1
    const details = body.querySelector('details')
    if (details) details.open = isOpen
    body.scrollTop = place
    // Who uses the keyboard stays where they were.
    const after = before && this.element.querySelector(before)
    ;(after ?? title).focus({ preventScroll: true })
  }

  /** The noise that is asked for. */
  noise () {
    const inputs = [...this.element.querySelectorAll('[data-noise]')]
    return Object.fromEntries(inputs.map(({ dataset, valueAsNumber }) => [dataset.noise, valueAsNumber || 0]))
  }

  busy () { this.#body.setAttribute('aria-busy', 'true') }

  /** Says what went wrong, with a button that closes and another one, where there is anything else to do. */
  fail (error, close, other = otherwise(error)) {
    const words = String(error?.message ?? error)
    const isRefused = error?.code === 'ERR_REFUSED'
    this.#tell(isRefused ? `This must not leave: ${words}` : words, 'warn', close, other)
  }

  /** Answers “no” from outside. */
  dismiss () { this.#say('no') }

  close () {
    dialogs.get(this.#root)?.delete(this)
    // Gives the focus back to where it came from.
    this.element.close()
    this.element.remove()
  }

  #say (answer) {
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting ? waiting(answer) : this.#answers.push(answer)
  }

  #focused () {
    const { activeElement } = this.element.getRootNode()
    const { choice, answer } = activeElement?.dataset ?? {}
    if (choice) return `[data-choice="${choice}"][value="${CSS.escape(activeElement.value)}"]`
    return answer && `[data-answer="${answer}"]`
  }

  #tell (words, kind, close, other) {
    const body = document.createElement('div')
    const text = document.createElement('p')
    text.id = this.#title
    text.textContent = words
    text.className = kind
    if (kind === 'warn') text.role = 'alert'
    body.className = 'body'
    body.append(text)
    const buttons = document.createElement('div')
    buttons.className = 'buttons'
    if (other) buttons.append(button(...other, ''))
    buttons.append(button(close, 'no', ' primary'))
    this.#body.removeAttribute('aria-busy')
    this.#body.replaceChildren(body, buttons)
  }
}

/** What else can be done about an error: what cannot be cleaned is for its owner to decide. */
function otherwise (error) {
  return error?.code === 'ERR_UNCLEAN' ? ['Leave it as it is', 'verbatim'] : ['Look again', 'again']
}

function button (words, answer, more) {
  const button = document.createElement('button')
  button.type = 'button'
  button.className = `button${more}`
  button.dataset.answer = answer
  button.textContent = words
  return button
}

/** Opens a dialog that says `words`, in the sheet of all dialogs and in one of its own, where it has one. For studio.js. */
export async function open (root, words, own) {
  await Promise.all([SHEET, own].map(at => at && style(root.getRootNode(), at)))
  return new Dialog(root, words)
}

async function style (host, at) {
  if (!styled.has(host)) styled.set(host, new Set())
  const worn = styled.get(host)
  if (worn.has(at.href)) return
  worn.add(at.href)
  if (!await adopt(host, (at === SHEET && sheet) || sheetOf(at))) worn.delete(at.href)
}

/** Fetches what the dialogs need, and what sharing does. */
export async function prefetch () {
  const come = sheetOf(SHEET)
  await fetchAhead()
  if (await come) sheet = come
}

/** Saves `content` as a file of the person's. */
export function save (content, name, type = 'application/json') {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([content], { type }))
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}

/** The sheets that each document or shadow root wears. */
const styled = new WeakMap()
const dialogs = new WeakMap()
const SHEET = new URL('dialog.css', import.meta.url)
/** The sheet where it was fetched ahead. */
let sheet
let count = 0
