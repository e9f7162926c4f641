// A relay of ours as a process, as a user starts it.

import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import { Child, run } from './process.mjs'

const ROOT = resolve(import.meta.dirname, '../..')

/** The binary under test. */
export const RELAY = resolve(process.env.CHORUS_RELAY ?? join(ROOT, 'target/debug/chorus-relay'))
/** The directory with the page under test. */
export const PAGE = resolve(process.env.CHORUS_PAGE ?? join(ROOT, 'target/page'))

/** Time in ms a relay has to print its ready line. */
const READY_MS = 20_000

/** Runs `chorus-relay ARGS…` to its end and returns its standard output. */
export const cli = (args, options) => run(RELAY, args, options)

export class Relay {
  /** @type {Child} */ #child
  /** What the ready line said. */ ready
  /** The arguments that make a restart listen where this one did. */ #args
  dataDir

  /**
   * Starts a relay on free ports with a fresh data directory and waits until it is ready.
   *
   * @param {{ args?: string[] }} [options] Further arguments of `chorus-relay run`.
   */
  static async start ({ args = [] } = {}) {
    const relay = new Relay()
    relay.dataDir = await mkdtemp(join(tmpdir(), 'chorus-relay-'))
    await relay.#run(['--http', '127.0.0.1:0', '--listen', '/ip4/127.0.0.1/tcp/0/ws', ...args])
    relay.#args = ['--http', new URL(relay.http).host, '--listen', relay.#listen(), ...args]
    return relay
  }

  async #run (args) {
    // A page on disk is newer than the one that was embedded.
    const page = existsSync(PAGE) ? ['--page', PAGE] : []
    this.#child = new Child(RELAY, ['run', '--data-dir', this.dataDir, ...page, ...args])
    this.ready = await this.#child.line(line => {
      const said = line.startsWith('{') && JSON.parse(line)
      return said && said.event === 'ready' && said
    }, READY_MS, 'its ready line')
  }

  get peerId () { return this.ready.peer_id }
  /** `http://127.0.0.1:PORT`, without a slash at the end. */
  get http () { return this.ready.http.replace(/\/$/, '') }
  /** The WebSocket address with the peer id. */
  get ws () {
    const addr = this.ready.addrs.find(addr => /\/ip4\/127\.0\.0\.1\/tcp\/\d+\/ws\/p2p\//.test(addr))
    if (addr == null) throw new Error(`the ready line names no WebSocket address: ${this.ready.addrs.join(' ')}`)
    return addr
  }

  #listen () { return this.ws.replace(/\/p2p\/.*$/, '') }
  log () { return this.#child.log() }

  /** Ends the process as a crash would. The data directory stays. */
  kill () { return this.#child.kill() }

  /** Ends the process as `kill -TERM` does. The data directory stays. */
  stop () { return this.#child.stop() }

  /** Starts again on the same ports with the same data directory. */
  start () { return this.#run(this.#args) }

  /** Ends the process and removes its data. */
  async close () {
    await this.kill()
    await rm(this.dataDir, { recursive: true, force: true })
  }

  /**
   * Reads `/metrics`.
   *
   * @returns {Promise<Map<string, number>>} Value by sample name with its labels, as written.
   */
  async metrics () {
    const response = await fetch(`${this.http}/metrics`)
    if (!response.ok) throw new Error(`/metrics answered ${response.status}`)
    const samples = new Map()
    for (const line of (await response.text()).split('\n')) {
      const sample = /^([a-zA-Z_:][^\s{]*(?:\{.*\})?)\s+(\S+)/.exec(line)
      if (sample != null) samples.set(sample[1], Number(sample[2]))
    }
    return samples
  }

  /** Bytes that travelled over circuits so far, both directions, as the metrics say. */
  async circuitBytes () {
    return await this.metric('chorus_circuit_bytes_total')
  }

  /** Reads one sample of `/metrics`. */
  async metric (name) {
    const value = (await this.metrics()).get(name)
    if (value == null) throw new Error(`/metrics has no ${name}`)
    return value
  }
}
