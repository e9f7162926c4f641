// Starts the dashboard. The address may say how:
//   ?classes=0,1,2  the digits this tab holds   ?train=off       does not learn until asked
//   ?private=on     with noise in what it shares
//   ?storage=memory forgets all with the tab    ?relay=https://… another relay    ?ice=none  WebRTC off, to see circuits

import { mount } from './chorus_web.js'
import { begin, dialogs, load, prefetch } from './chorus.js'

const asked = new URLSearchParams(location.search)
const join = { relay: asked.get('relay') ?? new URL('.', import.meta.url).href }
if (asked.has('storage')) join.storage = asked.get('storage')
if (asked.get('ice') === 'none') join.relayOnly = true
const view = { view: 'page', train: asked.get('train') !== 'off', private: asked.get('private') === 'on' }
if (asked.has('classes')) view.classes = asked.get('classes')

const app = document.getElementById('app')
join.ahead = begin(join)
try {
  await load()
  // Held on to: what is collected no longer wakes when the tab is shown again, nor says good-bye.
  app.mounted = mount(app, join, view, dialogs, name => { if (name === 'peer') prefetch() })
} catch (error) {
  const banner = document.createElement('p')
  banner.className = 'banner'
  banner.role = 'alert'
  banner.dataset.error = 'start'
  banner.textContent = `Chorus cannot start here: ${error?.message ?? error}`
  app.prepend(banner)
}
