// <chorus-mesh relay="https://relay.example" view="bar | panel | full" consent="ask | given">
//
// A view of the mesh for any page. Nothing connects, and no wasm is loaded, before consent: the attribute says "given", or
// the visitor clicks. Events bubble: chorus:peer, chorus:packet, chorus:status, chorus:error, chorus:consent.

import { adopt, sheetOf } from './sheet.js'

const VIEWS = ['bar', 'panel', 'full']

class ChorusMesh extends HTMLElement {
  static observedAttributes = ['consent']
  #root = this.attachShadow({ mode: 'open' })
  #mounted
  /** Where the start that counts puts its view; one from before the element was moved has another. */
  #box
  #styled

  connectedCallback () {
    this.#styled ??= adopt(this.#root, sheetOf(new URL('style.css', import.meta.url)))
    if (this.getAttribute('consent') === 'given') this.#start()
    else this.#ask()
  }

  disconnectedCallback () {
    const mounted = this.#mounted
    this.#mounted = undefined
    this.#box = undefined
    mounted?.close()
    this.#root.replaceChildren()
  }

  attributeChangedCallback (name, before, now) {
    if (this.isConnected && before !== now && now === 'given') this.#start()
  }

  get #relay () {
    return new URL(this.getAttribute('relay') ?? new URL('.', import.meta.url).href, location.href).href
  }

  #ask () {
    const box = document.createElement('div')
    box.className = 'chorus widget consent'
    const text = document.createElement('p')
    text.textContent = `Join a network of browsers that learn together? Your tab connects to ${new URL(this.#relay).host} and to other visitors, who see its network address.`
    const button = document.createElement('button')
    button.type = 'button'
    button.className = 'button'
    button.textContent = 'Join'
    button.addEventListener('click', () => {
      this.#emit('consent', {})
      this.setAttribute('consent', 'given')
    })
    box.append(text, button)
    this.#root.replaceChildren(box)
  }

  async #start () {
    if (this.#box) return
    const box = document.createElement('div')
    const pressed = this.#root.activeElement
    this.#box = box
    this.#root.replaceChildren(box)
    if (pressed) {
      // The button is gone: who uses the keyboard goes on from here.
      box.tabIndex = -1
      box.focus()
    }
    const view = VIEWS.includes(this.getAttribute('view')) ? this.getAttribute('view') : 'panel'
    try {
      const [{ begin, dialogs, load, prefetch }, { mount }] = await Promise.all([import('./chorus.js'), import('./chorus_web.js')])
      if (box !== this.#box) return
      const join = { relay: this.#relay, storage: this.getAttribute('storage') ?? 'indexeddb' }
      const ahead = begin(join)
      await load()
      if (box !== this.#box) {
        const { socket, connection } = await ahead
        socket?.close()
        connection?.close()
        return
      }
      const learns = view !== 'bar'
      this.#mounted = mount(box, { ...join, ahead }, { view, train: learns }, dialogs, (name, value) => {
        this.#emit(name, value)
        // A bar shares nothing.
        if (learns && name === 'peer') prefetch()
      })
    } catch (error) {
      if (box !== this.#box) return
      this.#box = undefined
      box.className = 'chorus widget'
      box.textContent = `Chorus cannot start here: ${error?.message ?? error}`
      this.#emit('error', error)
    }
  }

  #emit (name, detail) {
    this.dispatchEvent(new CustomEvent(`chorus:${name}`, { detail, bubbles: true, composed: true }))
  }
}

if (!customElements.get('chorus-mesh')) customElements.define('chorus-mesh', ChorusMesh)
