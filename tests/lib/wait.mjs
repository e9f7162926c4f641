// Waiting for events with a deadline. Nothing here sleeps or polls.

/** Upper bound of one wait in ms, unless the caller states another. Guess: the slowest join on a busy 2-core host, doubled. */
export const PATIENCE_MS = 30_000;

/** For what packs megabytes with a wasm that is not optimised, ms. */
export const SLOW_MS = 150_000

/**
 * Resolves as `promise` does; rejects after `ms` with a message that says what was awaited.
 *
 * @template T
 * @param {Promise<T>} promise
 * @param {number} ms
 * @param {string | (() => string)} what A function is called at the deadline, to say how far it got.
 * @returns {Promise<T>}
 */
export function within (promise, ms, what) {
  let timer
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`${typeof what === 'function' ? what() : what}: not within ${ms} ms`))
    }, ms)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

/** A promise with its two ends outside. */
export function deferred () {
  let resolve
  let reject
  const promise = new Promise((_resolve, _reject) => {
    resolve = _resolve
    reject = _reject
  })
  // A rejection that nobody awaits yet is not a crash of the runner; whoever awaits still gets it.
  promise.catch(() => {})
  return { promise, resolve, reject }
}
