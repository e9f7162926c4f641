// What a person is asked before something leaves, and the list of what left: dialogs over the dashboard or the widget.
// Loaded when first needed. `peer` is a ChorusPeer of chorus_web.js; `root` the element that holds the view.

import { ledger, load, preview, receiveSealed } from './privacy.js'

/** Asks whether a file may leave; resolves to its content id, or to undefined where it stays. */
export async function share (peer, file, root) {
  const dialog = await open(root, `Looking through “${file.name}” …`)
  const init = { type: 'file', content: file, name: file.name }
  const chosen = new Set()
  let offer
  let turn = 0
  // Every choice is looked through anew: what is shown is what would leave.
  const look = async () => {
    const mine = ++turn
    dialog.busy()
    try {
      const [module, readers, fresh] = await Promise.all([
        load(),
        readersOf(peer),
        preview(peer, { ...init, ...(chosen.size > 0 && { recipients: [...chosen] }) })
      ])
      if (mine !== turn || !dialog.isOpen) return fresh.discard()
      offer?.discard()
      offer = fresh
      const { cid, packet, json, blocks, share, discard, ...shown } = fresh
      dialog.show(module.previewHtml(JSON.stringify({
        preview: shown,
        readers: readers.map(id => ({ id, isChosen: chosen.has(id) })),
        json,
        leaving: [packet.length, ...blocks.map(block => block.length)]
      })))
      dialog.element.dataset.cid = cid
    } catch (error) {
      if (mine === turn) dialog.fail(error)
    }
  }
  dialog.onChoice = ({ dataset, value, checked }) => {
    if (dataset.choice === 'verbatim') init.verbatim = checked
    if (dataset.choice === 'everybody') chosen.clear()
    if (dataset.choice === 'reader') checked ? chosen.add(value) : chosen.delete(value)
    look()
  }
  await look()
  try {
    while (await dialog.answer() === 'yes') {
      const ready = offer
      offer = undefined
      dialog.busy()
      try {
        return await ready.share()
      } catch (error) {
        dialog.fail(error)
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
    try {
      const [module, { entries, budget, training }] = await Promise.all([load(), ledger(peer)])
      const timed = entries.map(entry => ({ ...entry, time: format.format(new Date(entry.until ?? entry.at)) }))
      dialog.show(module.ledgerHtml(JSON.stringify({ entries: timed, budget, training, sealedUntil })))
    } catch (error) {
      dialog.fail(error)
    }
  }
  await look()
  for (let answer; (answer = await dialog.answer()) !== 'no';) {
    try {
      if (answer === 'export') save(await peer.ledger(), 'chorus-ledger.json')
      if (answer === 'receive') {
        dialog.busy()
        sealedUntil = format.format(await receiveSealed(peer))
        await look()
      }
    } catch (error) {
      dialog.fail(error)
    }
  }
  dialog.close()
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
  #body = document.createElement('div')
  #answer = () => {}

  constructor (root, words) {
    this.element.className = 'chorus ask'
    this.element.setAttribute('aria-labelledby', 'ask-title')
    this.#body.className = 'inside'
    this.element.append(this.#body)
    this.element.addEventListener('click', ({ target }) => {
      const answer = target === this.element ? 'no' : target.closest('[data-answer]')?.dataset.answer
      const isBusy = this.#body.getAttribute('aria-busy') === 'true'
      if (answer === 'no' || (answer && !isBusy)) this.#answer(answer)
    })
    this.element.addEventListener('change', ({ target }) => { if (target.dataset.choice) this.onChoice(target) })
    this.element.addEventListener('cancel', event => {
      event.preventDefault()
      this.#answer('no')
    })
    this.#say(words)
    root.append(this.element)
    this.element.showModal()
  }

  get isOpen () { return this.element.isConnected }

  answer () { return new Promise(resolve => { this.#answer = resolve }) }

  /** Shows HTML that view.rs has made, of escaped texts. Buttons stay in sight while the rest scrolls. */
  show (html) {
    const place = this.#body.firstElementChild?.scrollTop ?? 0
    const [body, buttons] = [document.createElement('div'), document.createElement('div')]
    body.className = 'body'
    body.innerHTML = html
    buttons.append(...body.querySelectorAll(':scope > .buttons'))
    this.#body.replaceChildren(body, ...buttons.children)
    this.#body.removeAttribute('aria-busy')
    body.scrollTop = place
  }

  busy () { this.#body.setAttribute('aria-busy', 'true') }

  fail (error) {
    this.#say(error?.code === 'ERR_REFUSED' ? `This must not leave: ${error.message}` : String(error?.message ?? error), true)
  }

  close () { this.element.remove() }

  #say (words, isError = false) {
    const body = document.createElement('div')
    const text = document.createElement('p')
    text.id = 'ask-title'
    text.textContent = words
    text.className = isError ? 'warn' : 'wait'
    if (isError) text.role = 'alert'
    body.className = 'body'
    const buttons = document.createElement('div')
    const close = document.createElement('button')
    close.type = 'button'
    close.className = 'button primary'
    close.dataset.answer = 'no'
    close.textContent = isError ? 'Keep it here' : 'Cancel'
    buttons.className = 'buttons'
    buttons.append(close)
    body.append(text)
    this.#body.removeAttribute('aria-busy')
    this.#body.replaceChildren(body, buttons)
  }
}

async function open (root, words) {
  await style(root.getRootNode())
  return new Dialog(root, words)
}

/** The host page's policy may forbid inline styles; a constructed sheet is none. */
async function style (host) {
  if (styled.has(host)) return
  styled.add(host)
  const sheet = new CSSStyleSheet()
  host.adoptedStyleSheets = [...host.adoptedStyleSheets, sheet]
  try {
    const answer = await fetch(new URL('dialog.css', import.meta.url))
    if (answer.ok) await sheet.replace(await answer.text())
  } catch {
    // Unstyled is still usable.
  }
}

function save (text, name) {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([text], { type: 'application/json' }))
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}

const styled = new WeakSet()
