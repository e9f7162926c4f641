// Styles for what is in a shadow root or a document. The host page's policy may forbid inline styles; a constructed sheet is
// none. For widget.js and dialog.js.

/** Fetches the style sheet `name` from beside this module; resolves to nothing where it does not come. */
export async function sheetOf (name) {
  try {
    const answer = await fetch(new URL(name, import.meta.url))
    if (answer.ok) return await new CSSStyleSheet().replace(await answer.text())
  } catch {
    // Unstyled is still usable.
  }
}

/** Styles what is in `host` by `sheet`, a promise of one; resolves to whether it came. */
export async function adopt (host, sheet) {
  const come = await sheet
  if (come) host.adoptedStyleSheets = [...host.adoptedStyleSheets, come]
  return come !== undefined
}
