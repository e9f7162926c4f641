/**
 * `<chorus-mesh relay="https://relay.example" view="bar | panel | full" consent="ask | given">`
 *
 * Importing this module defines the element. Nothing connects before consent: the attribute says `given`, or the visitor
 * clicks. Events bubble and cross shadow roots; `event.detail` is what the JavaScript API gives its listeners.
 */

import type { Packet, PeerInfo, PeerLeft, Status } from './chorus.js'

/** The attributes of `<chorus-mesh>`. */
export interface ChorusMeshAttributes {
  /** The relay's address on the web. Default: where this module came from. */
  relay?: string
  /** How much is shown. Default: `panel`. A `bar` does not learn; the others do. */
  view?: 'bar' | 'panel' | 'full'
  /** Default: `ask`. Set it to `given` later to start. */
  consent?: 'ask' | 'given'
  /** Where identity and packets are kept. Default: `indexeddb`. */
  storage?: 'indexeddb' | 'memory'
}

export interface ChorusMeshEvents {
  /** The visitor agreed. */
  'chorus:consent': CustomEvent<Record<string, never>>
  'chorus:peer': CustomEvent<PeerInfo | PeerLeft>
  'chorus:packet': CustomEvent<Packet>
  'chorus:status': CustomEvent<Status>
  'chorus:error': CustomEvent<Error & { code?: string }>
}

declare global {
  interface HTMLElementTagNameMap {
    'chorus-mesh': HTMLElement
  }
  interface HTMLElementEventMap extends ChorusMeshEvents {}
}
