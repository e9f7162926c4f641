// The demo page: puts <chorus-mesh> into a page of another origin and lists the events that bubble out of it.
//   ?relay=https://…  the relay; this page's own origin by default   ?view=bar|panel|full   ?storage=memory   ?consent=given

const asked = new URLSearchParams(location.search)
const relay = asked.get('relay') ?? new URL('.', location.href).href
const place = document.getElementById('place')
const heard = document.getElementById('heard')
/** Lines kept on the page. */
const MAX_LINES = 12

for (const name of ['consent', 'peer', 'packet', 'status', 'error']) {
  document.addEventListener(`chorus:${name}`, ({ type, detail }) => {
    const line = document.createElement('li')
    line.dataset.event = type
    line.textContent = `${type} ${describe(detail)}`
    heard.prepend(line)
    while (heard.children.length > MAX_LINES) heard.lastChild.remove()
  })
}

for (const button of document.querySelectorAll('button[data-view]')) {
  button.addEventListener('click', () => show(button.dataset.view))
}

try {
  await import(new URL('widget.js', relay.endsWith('/') ? relay : `${relay}/`).href)
  show(asked.get('view') ?? 'panel')
} catch (error) {
  place.textContent = `The relay at ${relay} does not answer: ${error?.message ?? error}`
  place.role = 'alert'
}

/** Shows the widget; what the visitor agreed to once stays agreed. */
function show (view) {
  const before = place.querySelector('chorus-mesh')
  const widget = document.createElement('chorus-mesh')
  widget.setAttribute('relay', relay)
  widget.setAttribute('view', view)
  widget.setAttribute('consent', before?.getAttribute('consent') ?? asked.get('consent') ?? 'ask')
  if (asked.has('storage')) widget.setAttribute('storage', asked.get('storage'))
  place.replaceChildren(widget)
  for (const button of document.querySelectorAll('button[data-view]')) {
    button.setAttribute('aria-pressed', String(button.dataset.view === view))
  }
}

function describe (detail) {
  if (detail instanceof Error) return detail.message
  const { id, kind, left, type, cid, category, members } = detail ?? {}
  return [type, kind, category, left && 'left', members !== undefined && `${members} members`, id ?? cid].filter(Boolean).join(' · ')
}
