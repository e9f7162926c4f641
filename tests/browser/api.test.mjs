// The JavaScript API and <chorus-mesh> on another origin than the relay's.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { Tab, launch } from '../lib/chromium.mjs'
import { Relay } from '../lib/relay.mjs'
import { html, serve } from '../lib/serve.mjs'
import { deferred } from '../lib/wait.mjs'

let browser
let relay
let site
before(async () => {
  [browser, relay] = await Promise.all([launch(), Relay.start()])
  const page = body => ({ ...html('data:text/javascript,', { body }) })
  site = await serve({
    '/': page(''),
    '/ask': page(`<script type="module" src="${relay.http}/widget.js"></script><chorus-mesh relay="${relay.http}" view="panel" consent="ask"></chorus-mesh>`),
    '/panel': page(`<script type="module" src="${relay.http}/widget.js"></script><chorus-mesh relay="${relay.http}" view="panel" consent="given" storage="memory"></chorus-mesh>`),
    '/given': page(`<script type="module" src="${relay.http}/widget.js"></script><chorus-mesh relay="${relay.http}" view="bar" consent="given"></chorus-mesh>`)
  })
})
after(async () => {
  await browser?.close()
  await site?.close()
  await relay?.close()
})

/** A page of the other origin with a peer in `globalThis.peer`. */
async function openPeer () {
  const tab = await Tab.open(browser)
  await tab.page.goto(`${site.origin}/`)
  tab.id = await tab.run(async relay => {
    const { join } = await import(`${relay}/chorus.js`)
    globalThis.peer = await join({ relay, storage: 'memory' })
    return globalThis.peer.id
  }, relay.http)
  return tab
}

/** Resolves once the peer of `tab` is directly connected to `id`. */
const isDirect = (tab, id) => tab.run(id => new Promise((resolve, reject) => {
  const stop = peer.on('peer', () => look())
  const look = async () => {
    const all = await peer.streams.connections()
    if (!all.some(connection => connection.peer === id && connection.kind === 'direct')) return
    stop()
    resolve()
  }
  look().catch(reject)
}), id, 30_000, `directly connected to ${id}`)

test('two pages of another origin share, hear, get and query packets', async () => {
  const [one, two] = await Promise.all([openPeer(), openPeer()])
  assert.match(one.id, /^12D3KooW/)
  assert.notEqual(one.id, two.id)
  await Promise.all([isDirect(one, two.id), isDirect(two, one.id)])

  await two.run(() => {
    globalThis.heard = new Promise(resolve => {
      const stop = peer.on('packet', packet => {
        if (packet.type !== 'note') return
        stop()
        resolve(packet)
      })
    })
  })
  const cid = await one.run(() => peer.share({ type: 'note', content: new TextEncoder().encode('hello') }))
  assert.match(cid, /^b[a-z2-7]+$/)
  const heard = await two.run(async () => {
    const { cid, author, type } = await globalThis.heard
    return { cid, author, type }
  }, null, 30_000, 'the packet event')
  assert.deepEqual(heard, { cid, author: one.id, type: 'note' })

  const got = await two.run(async cid => {
    const packet = await peer.get(cid)
    return { text: new TextDecoder().decode(packet.content), author: packet.author, type: packet.type }
  }, cid)
  assert.deepEqual(got, { text: 'hello', author: one.id, type: 'note' })

  const found = await two.run(async () => {
    const cids = []
    for await (const packet of peer.query({ type: 'note' })) cids.push(packet.cid)
    return cids
  })
  assert.ok(found.includes(cid), found.join(' '))
  await one.close()
  await two.close()
})

test('a stream to a tab that stands still is waited for ten seconds, not for ever', async () => {
  const [one, two] = await Promise.all([openPeer(), openPeer()])
  await Promise.all([isDirect(one, two.id), isDirect(two, one.id)])
  const open = () => one.run(id => peer.streams.open(id, '/chorus-test/still/1.0.0').then(() => 'open', error => `${error.code} ${error.message}`), two.id)
  assert.match(await open(), /^ERR_STREAM (?!.*within)/, 'nobody handles it')
  const debug = await two.context.newCDPSession(two.page)
  await debug.send('Debugger.enable')
  await debug.send('Debugger.pause')
  assert.match(await open(), /^ERR_STREAM .* within 10s$/)
  await debug.send('Debugger.disable')
  await two.run(() => peer.streams.handle('/chorus-test/still/1.0.0', () => {}))
  assert.equal(await open(), 'open')
  await one.close()
  await two.close()
})

test('tensors travel with their type and shape', async () => {
  const [one, two] = await Promise.all([openPeer(), openPeer()])
  await Promise.all([isDirect(one, two.id), isDirect(two, one.id)])
  const cid = await one.run(() => peer.shareTensors({
    weight: { dtype: 'f32', shape: [2, 3], data: new Float32Array([1, -2, 3.5, 0, 1e-3, 6]) }
  }))
  const type = await two.run(async cid => (await peer.get(cid)).type, cid)
  assert.equal(typeof type, 'string')
  await one.close()
  await two.close()
})

test('mistakes are Errors with a stable code', async () => {
  const tab = await openPeer()
  const codes = await tab.run(async () => {
    const code = async fn => {
      try {
        await fn()
        return 'no error'
      } catch (error) {
        return error instanceof Error && typeof error.code === 'string' ? 'code' : `${error}`
      }
    }
    return [
      await code(() => peer.get('nonsense')),
      await code(() => peer.share({ type: 'note' })),
      await code(() => peer.share({ type: 'x'.repeat(10_000), content: new Uint8Array(1) })),
      await code(() => peer.share({ type: 'note', content: new Uint8Array(10_000_001) })),
      await code(async () => { for await (const packet of peer.query({ limit: -1 })) void packet })
    ]
  })
  assert.deepEqual(codes, Array(codes.length).fill('code'))
  assert.ok(await tab.run(() => peer.status() != null))
  await tab.run(async () => { await peer.close() })
  assert.equal(await tab.run(async () => {
    try {
      await peer.share({ type: 'note', content: new Uint8Array(1) })
      return 'shared'
    } catch (error) {
      return typeof error.code
    }
  }), 'string')
  await tab.close()
})

test('join says why it cannot: a relay that is not there, an option that is not one', async () => {
  const tab = await Tab.open(browser)
  await tab.page.goto(`${site.origin}/`)
  const codes = await tab.run(async relay => {
    const { join } = await import(`${relay}/chorus.js`)
    const code = options => join(options).then(() => 'joined', error => error instanceof Error ? typeof error.code : `${error}`)
    return [
      await code({ relay: 'http://127.0.0.1:1', storage: 'memory' }),
      await code({ relay: 'nonsense', storage: 'memory' }),
      await code({ relay, storage: 'floppy' })
    ]
  }, relay.http)
  assert.deepEqual(codes, ['string', 'string', 'string'])
  await tab.close()
})

test('an option that is undefined is as good as absent, and one that is misspelt is named', async () => {
  const tab = await Tab.open(browser)
  await tab.page.goto(`${site.origin}/`)
  const [code, message] = await tab.run(async relay => {
    const { join } = await import(`${relay}/chorus.js`)
    const options = { relay, network: undefined, storage: 'memory', iceServers: undefined, relayOnly: undefined }
    const peer = await join(options)
    const stop = await peer.streams.handle('/chorus-test/twice/1.0.0', () => {})
    stop()
    stop()
    await peer.close()
    return await join({ ...options, relayonly: true }).then(() => [], ({ code, message }) => [code, message])
  }, relay.http)
  assert.equal(code, 'ERR_INVALID_ARGUMENT')
  assert.match(message, /"relayonly"/)
  await tab.close()
})

test('a page that closes its peer and joins again is the same peer', async () => {
  const tab = await Tab.open(browser)
  await tab.page.goto(`${site.origin}/`)
  const [first, second] = await tab.run(async relay => {
    const { join } = await import(`${relay}/chorus.js`)
    // Held on to: what is collected has let go of its identity anyway.
    globalThis.peers = [await join({ relay })]
    await peers[0].close()
    peers.push(await join({ relay }))
    return peers.map(({ id }) => id)
  }, relay.http)
  assert.equal(second, first)
  await tab.close()
})

test('a widget connects only after consent, keeps the keyboard, and its events bubble', async () => {
  const tab = await Tab.open(browser)
  await tab.page.addInitScript(() => {
    globalThis.up = new Promise(resolve => document.addEventListener('chorus:status', resolve, { once: true }))
    globalThis.sockets = []
    globalThis.WebSocket = new Proxy(WebSocket, { construct: (target, args) => { globalThis.sockets.push(args[0]); return Reflect.construct(target, args) } })
  })
  await tab.page.goto(`${site.origin}/ask`)
  const button = tab.page.locator('chorus-mesh button').first()
  await button.waitFor()
  assert.deepEqual(await tab.run(() => globalThis.sockets), [])
  assert.ok(tab.requests.every(url => !url.includes('bootstrap.json')), tab.requests.join(' '))
  await button.click()
  await tab.run(async () => { await globalThis.up })
  assert.notDeepEqual(await tab.run(() => globalThis.sockets), [])
  assert.equal(await tab.run(() => document.activeElement.localName), 'chorus-mesh', 'the focus is where the button was')
  await tab.close()
})

test('a widget that is moved while it loads is one peer', async () => {
  const tab = await Tab.open(browser)
  await tab.page.addInitScript(() => {
    globalThis.sockets = []
    globalThis.WebSocket = new Proxy(WebSocket, {
      construct (target, args) {
        const socket = Reflect.construct(target, args)
        sockets.push(socket)
        return socket
      }
    })
  })
  const isMoved = deferred()
  await tab.page.route('**/chorus_web_bg.wasm', async route => {
    await isMoved.promise
    await route.continue()
  })
  // Each start greets the relay while the wasm is on its way.
  const greeted = tab.page.waitForEvent('websocket')
  await tab.page.goto(`${site.origin}/given`)
  await greeted
  const greetedAgain = tab.page.waitForEvent('websocket')
  await tab.run(() => document.body.append(document.querySelector('chorus-mesh')))
  await greetedAgain
  isMoved.resolve()
  await tab.page.locator('chorus-mesh [data-peer-id]').first().waitFor({ state: 'attached' })
  assert.equal(await tab.run(() => sockets.filter(({ readyState }) => readyState <= WebSocket.OPEN).length), 1)
  await tab.close()
})

test('a widget that cannot learn privately says why, tries again, and learns openly where that is asked for', async () => {
  const tab = await Tab.open(browser)
  await tab.page.goto(`${site.origin}/panel`)
  const find = selector => tab.page.locator(`chorus-mesh ${selector}`)
  await find('[data-action="private"]').click()
  assert.match(await find('[data-error="notice"]').innerText(), /cannot learn like this/)
  await find('[data-error="notice"] button').click()
  await find('[data-error="notice"]').waitFor({ state: 'detached' })
  await find('[data-action="learn"]').click()
  await find('[data-error="notice"]').waitFor()
  await find('[data-action="private"]').click()
  await find('[data-private="false"][data-running="true"]').waitFor()
  await tab.close()
})

test('a widget with consent given joins the others', async () => {
  const [tab, other] = [await Tab.open(browser), await openPeer()]
  await tab.page.goto(`${site.origin}/given`)
  await tab.page.locator('chorus-mesh [data-peer-id]').first().waitFor({ state: 'attached' })
  const id = await tab.page.locator('chorus-mesh [data-peer-id]').first().getAttribute('data-peer-id')
  await isDirect(other, id)
  await tab.close()
  await other.close()
})

test('a widget that is taken out and put back is the same peer', async () => {
  const tab = await Tab.open(browser)
  await tab.page.goto(`${site.origin}/given`)
  const id = () => tab.page.locator('chorus-mesh [data-peer-id]').first().getAttribute('data-peer-id')
  const first = await id()
  await tab.run(async () => {
    globalThis.widget = document.querySelector('chorus-mesh')
    widget.remove()
    // Granted once the peer has let go of its identity.
    await navigator.locks.request('chorus/main/identity/0', () => {})
    document.body.append(widget)
  })
  assert.equal(await id(), first)
  await tab.close()
})

test('a browser that is full says that nothing is kept, and the tab goes on', async () => {
  const tab = await Tab.open(browser)
  await tab.page.goto(`${site.origin}/`)
  // Before the database is opened: the browser remembers for a while how much room there was.
  const devtools = await tab.context.newCDPSession(tab.page)
  await devtools.send('Storage.overrideQuotaForOrigin', { origin: site.origin, quotaSize: 500_000 })
  await tab.run(async relay => {
    const { join } = await import(`${relay}/chorus.js`)
    globalThis.peer = await join({ relay })
    globalThis.told = new Promise(resolve => peer.on('error', resolve))
  }, relay.http)
  const told = await tab.run(async () => {
    // Random: the browser compresses what it keeps.
    const content = new Uint8Array(2 ** 20)
    for (let at = 0; at < content.length; at += 65536) crypto.getRandomValues(content.subarray(at, at + 65536))
    const cid = await peer.share({ type: 'file', content })
    const { code, message } = await told
    const found = await peer.get(cid)
    return { code, message, isSame: found.content.every((byte, i) => byte === content[i]) }
  })
  assert.equal(told.code, 'ERR_NOT_KEPT')
  assert.match(told.message, /Quota/)
  assert.ok(told.isSame)
  await tab.close()
})
