// Real Chromium, one isolated context per tab, and every uncaught error of a page.

import { chromium } from 'playwright-core'

import { PATIENCE_MS, deferred, within } from './wait.mjs'

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium'

/**
 * Features that are off. The last such argument counts, so those that Playwright turns off are named again; then those by
 * which each window loads pages of the browser's own for what is typed into its address bar: nobody types, and they take
 * 190 ms of processor time beside the page that is looked at (read from a trace of Chromium 156).
 */
const FEATURES = [
  'AvoidUnnecessaryBeforeUnloadCheckSync', 'DestroyProfileOnBrowserClose', 'HttpsUpgrades', 'HttpsFirstBalancedModeAutoEnable',
  'LensOverlay', 'MediaRouter', 'PaintHolding', 'ThirdPartyStoragePartitioning', 'AvoidCorsURLLoaderRestartOnRedirect',
  'OptimizationHints', 'NetworkTimeServiceQuerying', 'AimEnabled', 'PreconnectToSearch',
  'WebUIOmniboxPopup', 'WebUIOmniboxAimPopup', 'WebUIOmniboxFullPopup', 'OmniboxFullPopupEnabled'
]

/** No GPU, no traffic of the browser's own. */
const ARGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync', `--disable-features=${FEATURES}`
]

/** Console messages that mean a defect of ours, whatever the test looks at. */
const DEFECT = /panicked at|RuntimeError|unreachable executed|Content Security Policy|recursively or after being dropped|BorrowMutError/

/**
 * Starts Chromium with a fresh profile.
 *
 * @param {string[]} [args] Further arguments.
 */
export function launch (args = []) {
  return chromium.launch({ executablePath: EXECUTABLE, channel: undefined, args: [...ARGS, ...args] })
}

/** A tab in a context of its own, or beside another tab of the same profile. */
export class Tab {
  /** Uncaught errors and defects so far. @type {string[]} */ problems = []
  /** Every line on the console, newest last. @type {string[]} */ console = []
  /** URLs requested, as strings. @type {string[]} */ requests = []
  #failed = deferred()

  /**
   * @param {import('playwright-core').Browser} browser
   * @param {{ beside?: Tab, context?: import('playwright-core').BrowserContextOptions }} [options]
   */
  static async open (browser, { beside, context: options = {} } = {}) {
    const tab = new Tab()
    tab.context = beside?.context ?? await browser.newContext(options)
    tab.page = await tab.context.newPage()
    tab.page.setDefaultTimeout(PATIENCE_MS)
    tab.page.on('pageerror', error => tab.#problem(`uncaught: ${error.stack ?? error}`))
    tab.page.on('crash', () => tab.#problem('the tab crashed'))
    tab.page.on('request', request => tab.requests.push(request.url()))
    tab.page.on('console', message => {
      const text = message.text()
      tab.console.push(`${message.type()}: ${text}`)
      if (tab.console.length > 500) tab.console.shift()
      if (process.env.CHORUS_TEST_VERBOSE) process.stderr.write(`[tab] ${message.type()}: ${text}\n`)
      if (DEFECT.test(text)) tab.#problem(`console: ${text}`)
    })
    await tab.page.addInitScript(rememberConnections)
    return tab
  }

  #problem (text) {
    this.problems.push(text)
    this.#failed.reject(new Error(text))
  }

  /**
   * Runs `fn(arg)` in the page; a string is an expression. Rejects early where the page has an uncaught error.
   */
  run (fn, arg, ms = PATIENCE_MS, what = 'a function in the page') {
    return within(
      Promise.race([this.page.evaluate(fn, arg), this.#failed.promise]), ms,
      () => `${what}\n${this.log()}`)
  }

  /**
   * Waits until `fn(arg)` in the page returns something truthy, looking again at every change of the document.
   *
   * @param {(arg: any) => any} fn Needs nothing of its surroundings: it travels as text.
   * @returns {Promise<any>} What `fn` returned.
   */
  until (fn, arg, ms = PATIENCE_MS, what = String(fn)) {
    return this.run(`(${onChange})(${fn}, ${JSON.stringify(arg) ?? 'undefined'})`, undefined, ms, what)
  }

  /** What the selected candidate pairs of all open RTCPeerConnections of the page say. */
  connections () {
    return this.run(async () => await globalThis.__connections())
  }

  log () { return this.console.slice(-25).join('\n') }

  /** Throws where the page had an uncaught error. */
  check () {
    if (this.problems.length > 0) throw new Error(`the page had errors:\n${this.problems.join('\n')}`)
  }

  /** Closes the tab, and its context where it is alone there; throws where the page had an uncaught error. */
  async close () {
    await this.page.close()
    if (this.context.pages().length === 0) await this.context.close()
    this.check()
  }
}

/** Runs in the page: resolves to what `fn` returns as soon as that is truthy. */
function onChange (fn, arg) {
  return new Promise((resolve, reject) => {
    let observer
    const look = () => {
      try {
        const value = fn(arg)
        if (!value) return false
        observer?.disconnect()
        resolve(value)
      } catch (error) {
        observer?.disconnect()
        reject(error)
      }
      return true
    }
    if (look()) return
    observer = new MutationObserver(look)
    observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true })
  })
}

/** Runs in the page before its scripts: keeps hold of RTCPeerConnections, so that getStats can be asked from outside. */
function rememberConnections () {
  if (globalThis.RTCPeerConnection == null) return
  const all = new Set()
  globalThis.RTCPeerConnection = new Proxy(globalThis.RTCPeerConnection, {
    construct (target, args) {
      const connection = Reflect.construct(target, args)
      all.add(connection)
      connection.addEventListener('connectionstatechange', () => {
        if (connection.connectionState === 'closed') all.delete(connection)
      })
      return connection
    }
  })
  globalThis.__connections = async () => {
    const found = []
    for (const connection of all) {
      if (connection.connectionState === 'closed') {
        all.delete(connection)
        continue
      }
      const stats = await connection.getStats()
      const values = [...stats.values()]
      const transport = values.find(value => value.type === 'transport')
      const pair = transport && stats.get(transport.selectedCandidatePairId)
      found.push({
        state: connection.connectionState,
        // A pair that carries data may be under another check just now.
        selected: pair != null && (pair.state === 'succeeded' || pair.bytesReceived > 0),
        local: pair && stats.get(pair.localCandidateId)?.candidateType,
        remote: pair && stats.get(pair.remoteCandidateId)?.candidateType,
        bytesSent: pair?.bytesSent ?? 0,
        bytesReceived: pair?.bytesReceived ?? 0
      })
    }
    return found
  }
}
