// A static server on 127.0.0.1 for pages of the tests: another origin than the relay's.

import { createServer } from 'node:http'

/**
 * Serves `files`: path → { type, body }, or path → function (request) → the same.
 *
 * @returns {Promise<{ origin: string, server: import('node:http').Server, close: () => Promise<void> }>}
 */
export async function serve (files) {
  const server = createServer((request, response) => {
    const path = new URL(request.url, 'http://localhost').pathname
    const file = files[path]
    if (file == null) {
      response.writeHead(404).end()
      return
    }
    response.writeHead(200, { 'content-type': file.type, 'content-length': Buffer.byteLength(file.body), 'cache-control': 'no-store' })
    response.end(file.body)
  })
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  return {
    server,
    origin: `http://127.0.0.1:${server.address().port}`,
    close: async () => {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    }
  }
}

/** A page that runs one module script; `head` holds further tags. */
export function html (script, { body = '', head = '' } = {}) {
  return {
    type: 'text/html; charset=utf-8',
    body: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>test</title><link rel="icon" href="data:,">${head}</head><body>${body}<script type="module" src="${script}"></script></body></html>`
  }
}

export const js = body => ({ type: 'text/javascript; charset=utf-8', body })
