// Bundles a module and what it imports for the browser, minified as a site would ship it.

import { join } from 'node:path'
import { build } from 'esbuild'

/**
 * @param {string} entry Path below `tests/`.
 * @returns {Promise<string>} One ES module.
 */
export async function bundle (entry) {
  const result = await build({
    entryPoints: [join(import.meta.dirname, '..', entry)],
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'chrome120',
    define: { 'process.env.NODE_ENV': '"production"', global: 'globalThis' },
    legalComments: 'none',
    logLevel: 'error'
  })
  return result.outputFiles[0].text
}
