// A child process whose lines are events, and that never outlives the test.

import { spawn } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { createInterface } from 'node:readline'

import { deferred, within } from './wait.mjs'

/** Lines of standard error kept for the message of a failure. */
const KEPT_LINES = 200

const running = new Set()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export class Child {
  #process
  #out = new EventEmitter()
  #exited = deferred()

  /** @type {string[]} */ stdout = []
  /** The last lines of standard error. @type {string[]} */ stderr = []

  /**
   * @param {string} command
   * @param {string[]} args
   * @param {{ env?: Record<string, string>, cwd?: string }} [options]
   */
  constructor (command, args, { env = {}, cwd } = {}) {
    this.name = `${command.split('/').pop()} ${args[0] ?? ''}`.trim()
    this.#process = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    running.add(this.#process)
    createInterface({ input: this.#process.stdout }).on('line', line => {
      this.stdout.push(line)
      this.#out.emit('line', line)
    })
    createInterface({ input: this.#process.stderr }).on('line', line => {
      this.stderr.push(line)
      if (this.stderr.length > KEPT_LINES) this.stderr.shift()
      if (process.env.CHORUS_TEST_VERBOSE) process.stderr.write(`[${this.name}] ${line}\n`)
    })
    this.#process.on('error', error => this.#exited.reject(error))
    this.#process.on('close', (code, signal) => {
      running.delete(this.#process)
      this.#exited.resolve({ code, signal })
    })
  }

  get pid () { return this.#process.pid }

  /** Resolves to `{ code, signal }` once the process is gone and its output is read. */
  get exited () { return this.#exited.promise }

  /**
   * Resolves to the first line of standard output for which `match` returns something truthy, as `match` returned it.
   */
  async line (match, ms, what) {
    const found = deferred()
    const look = line => {
      const value = match(line)
      if (value) found.resolve(value)
    }
    this.stdout.forEach(look)
    this.#out.on('line', look)
    this.exited.then(
      ({ code }) => found.reject(new Error(`${this.name} ended with ${code} before ${what}\n${this.log()}`)),
      found.reject
    )
    try {
      return await within(found.promise, ms, () => `${this.name}: ${what}\n${this.log()}`)
    } finally {
      this.#out.off('line', look)
    }
  }

  /** Sends SIGTERM and resolves to how the process ended; kills it where that takes longer than `ms`. */
  async stop (ms = 5_000) {
    this.#process.kill('SIGTERM')
    try {
      return await within(this.exited, ms, `${this.name} ends after SIGTERM`)
    } catch (error) {
      await this.kill()
      throw error
    }
  }

  /** Sends SIGKILL and waits until the process is gone. */
  async kill () {
    this.#process.kill('SIGKILL')
    await this.exited.catch(() => {})
  }

  /** The end of what it logged. */
  log () { return this.stderr.slice(-40).join('\n') }
}

/**
 * Runs a command to its end.
 *
 * @returns {Promise<string>} Its standard output.
 */
export async function run (command, args, { ms = 30_000, ...options } = {}) {
  const child = new Child(command, args, options)
  try {
    const { code, signal } = await within(child.exited, ms, () => `${child.name} ends\n${child.log()}`)
    if (code !== 0) throw new Error(`${child.name} ended with ${code ?? signal}\n${child.log()}`)
    return child.stdout.join('\n')
  } finally {
    if (child.pid) await child.kill()
  }
}
