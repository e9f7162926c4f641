// Tabs on a network that loses packets: a Linux network namespace in which every so many UDP packets one is dropped.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { after, before, test } from 'node:test'

import { Child } from '../lib/process.mjs'

/** One packet in so many is lost. At 20 one stream in about 50 met what is tested here. */
const ONE_IN = 20
const NAMES = ['chorus-loss', 'chorus-loss-end']

const ip = (...args) => execFileSync('ip', args, { stdio: ['ignore', 'inherit', 'pipe'] })

const remove = () => {
  for (const name of NAMES) {
    try { ip('netns', 'del', name) } catch { /* there was none */ }
  }
}

before(() => {
  remove()
  const [place, end] = NAMES
  ip('netns', 'add', place)
  ip('netns', 'add', end)
  ip('-n', place, 'link', 'set', 'lo', 'up')
  // Browsers offer no loopback addresses, and those of an interface only where it leads somewhere.
  ip('-n', place, 'link', 'add', 'out', 'type', 'veth', 'peer', 'name', 'in', 'netns', end)
  ip('-n', end, 'link', 'set', 'in', 'up')
  ip('-n', place, 'address', 'add', '10.93.0.1/24', 'dev', 'out')
  ip('-n', place, 'link', 'set', 'out', 'up')
  ip('-n', place, 'route', 'add', 'default', 'via', '10.93.0.2')
  execFileSync('ip', ['netns', 'exec', place, 'nft', '-f', '-'], {
    input: `table inet loss {\n chain input {\n  type filter hook input priority 0;\n  meta l4proto udp numgen inc mod ${ONE_IN} 0 drop\n }\n}\n`
  })
})
after(remove)

for (const [opener, whose] of [['ours', 'Chorus'], ['js', 'js-libp2p']]) {
  test(`streams that ${whose} opens one after another all come to their end where packets are lost`, async t => {
    const script = join(import.meta.dirname, '../lib/lossy.mjs')
    const args = ['netns', 'exec', NAMES[0], process.execPath, script, opener, '3', '200']
    const child = new Child('ip', args)
    const { code } = await child.exited
    assert.equal(code, 0, child.stderr.join('\n'))
    const { streams, anew } = JSON.parse(child.stdout.at(-1))
    t.diagnostic(`${streams} streams, ${anew} of them on a channel made anew`)
  })
}
