// Bundles a module and what it imports for the browser, minified as a site would ship it.

import { basename, join } from 'node:path'
import { build } from 'esbuild'

/**
 * @param {string} entry Path below `tests/`.
 * @returns {Promise<string>} One ES module.
 */
export async function bundle (entry) {
  const result = await build(options(entry))
  return result.outputFiles[0].text
}

/**
 * Like `bundle`, with what is imported later in files of its own.
 *
 * @param {string} entry Path below `tests/`.
 * @param {Record<string, string>} [packages] Name → path of its module.
 * @returns {Promise<{ name: string, text: string, isFirst: boolean }[]>} The entry's module first; `isFirst`: it is loaded
 *   with the entry, not later.
 */
export async function split (entry, packages = {}) {
  const { outputFiles, metafile } = await build({ ...options(entry), alias: packages, splitting: true, outdir: '/', metafile: true })
  const outputs = Object.entries(metafile.outputs).map(([path, output]) => ({ name: basename(path), ...output }))
  const main = outputs.find(output => output.entryPoint?.endsWith(entry))
  const first = new Set([main.name])
  // A set hands out what is added while it is walked.
  for (const name of first) {
    const { imports } = outputs.find(output => output.name === name)
    for (const { path, kind } of imports) if (kind === 'import-statement') first.add(basename(path))
  }
  return outputFiles
    .map(({ path, text }) => ({ name: basename(path), text, isFirst: first.has(basename(path)) }))
    .toSorted((a, b) => Number(b.name === main.name) - Number(a.name === main.name))
}

function options (entry) {
  return {
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
  }
}
