/**
 * The JavaScript API of Chorus: a page becomes a peer in a mesh of browsers.
 *
 * ```js
 * import { join } from 'https://relay.example/chorus.js'
 * const peer = await join({ relay: 'https://relay.example' })
 * peer.on('packet', packet => console.log(packet.type, packet.cid))
 * const cid = await peer.share({ type: 'note', content: 'hello' })
 * ```
 *
 * Everything that fails rejects with, or throws, a {@link ChorusError}.
 */

import type { Engram, PackOptions } from './engram.js'

/**
 * Joins the mesh through a relay. Resolves once the peer runs; connecting to others goes on by itself. What the first share
 * needs is fetched from beside this module while the page is idle, unless the visitor saves data (`Save-Data`).
 */
export function join(options?: JoinOptions): Promise<Peer>

/** Loads the wasm from beside this module, once; `join` does so by itself. Call it early to join sooner. */
export function load(): Promise<unknown>

/** One that is not among these rejects with `ERR_INVALID_ARGUMENT`, which names it; `undefined` is as good as absent. */
export interface JoinOptions {
  /** The relay's address on the web. Default: where this module came from. */
  relay?: string
  /** The network to join; the relay's own by default, and no other will do. */
  network?: string
  /** Where identity and packets are kept: in this profile (the default), or nowhere. */
  storage?: 'indexeddb' | 'memory'
  /** STUN and TURN servers. None by default: no third party learns of anyone. */
  iceServers?: IceServer[]
  /** Connects to browsers through TURN servers only. Without any, peers stay relayed. Default: false. */
  relayOnly?: boolean
}

/** As in `RTCConfiguration`. */
export interface IceServer {
  urls: string | string[]
  username?: string
  credential?: string
}

/** A peer in this page. */
export interface Peer {
  /** The libp2p peer id, `12D3KooW…`. The same after a reload where `storage` is `indexeddb`. */
  readonly id: string
  /** The network's name. */
  readonly network: string
  /** Raw libp2p streams on direct connections. */
  readonly streams: Streams

  /**
   * Takes a packet through all stages: what the scrubber finds is taken out, identifiers become pseudonyms, tensors get
   * noise where it is asked for, and what has recipients is sealed. Nothing leaves before `share` of what this resolves to.
   * At most 10 MB. Loads a second module from beside this one at the first call, so the first share needs the relay.
   */
  preview(packet: PacketInit): Promise<Preview>
  /**
   * Previews and shares in one: your code consents. Resolves to the packet's content id. Content without findings leaves
   * byte for byte as it is. Content that is too large for the packet itself travels as blocks that others verify one by
   * one.
   */
  share(packet: PacketInit): Promise<string>
  /** Fetches a packet and its content, from here or from whoever has it; verified. */
  get(cid: string): Promise<PacketWithContent>
  /** Lists the packets known here, newest first. */
  query(filter?: Filter): AsyncIterable<Packet>
  /** Shares tensors as one packet in the safetensors format; its type is `tensors` unless the options say otherwise. */
  shareTensors(tensors: Record<string, Tensor>, options?: Partial<Omit<PacketInit, 'content'>>): Promise<string>
  /**
   * Packs an engram (from `open` or `unpack` of `engram.js`) in a worker and shares it with each target: `everybody`, or a peer
   * id that it is sealed to. Tensors' names and metadata go through the stages first; numbers stay as they are packed. One
   * target's failure loses no other: it resolves to a result for each. Rejects before anything left with `ERR_TOO_LARGE`,
   * which says how many bits per number would fit, and with what packing says.
   */
  shareEngram(engram: Engram, targets?: string | string[], options?: ShareEngramOptions): Promise<EngramShared[]>

  /**
   * Lets others seal to this peer: makes a key, or replaces one that ends soon, keeps it in this profile and publishes its
   * certificate. Resolves to when the key ends; call it again before.
   */
  receiveSealed(): Promise<Date>
  /** Fetches a packet that was sealed to this peer and opens it. */
  open(cid: string): Promise<Opened>

  /**
   * Lists everything that left this tab, also before a reload, and what is left of the privacy budget. What cannot be noted
   * does not leave, with one exception: the weights that the built-in learner exchanges are counted in one line, and where
   * the browser does not keep it they leave all the same; what it counted since then ends with the tab.
   */
  ledger(): Promise<Ledger>
  /** The list as JSON, as `chorus-relay` writes it too. */
  exportLedger(): Promise<string>

  /**
   * Takes back packets of one's own, at most 64 at a time; resolves to the revocation's content id. Peers and relays that
   * hear of it forget the packets and their blocks. Who has read them has read them, and who never comes back never hears.
   * It is noted in the ledger first, so it may load the second module, as `preview` does.
   */
  revoke(cids: string | string[]): Promise<string>
  /** Fetches a packet with its content and keeps both as long as the packet lives, also across reloads; at most 256. */
  pin(cid: string): Promise<void>
  /** Ends `pin`: packet and content go when there is need. */
  unpin(cid: string): Promise<void>
  /** Says what this page measured: packets that wait for `metric` to reach at most `value` become due. */
  measure(metric: string, value: number): Promise<void>

  /** Listens until the function returned is called. What a listener throws goes to `reportError`. */
  on<K extends keyof PeerEvents>(event: K, listener: (value: PeerEvents[K]) => void): () => void
  /** How the peer is doing, as last heard. */
  status(): Status
  /** Lists the connected peers. */
  peers(): Promise<PeerInfo[]>
  /** Reconnects at once; call it where the page knows that the network changed. */
  wake(): void
  /** Leaves the mesh; its identity is free for the next `join`. Every later call throws `ERR_CLOSED`. */
  close(): Promise<void>
}

export interface PacketInit {
  /** What the content is, such as `note`: 1 to 64 of `a-z A-Z 0-9 . _ / -`, first a letter. */
  type: string
  content: string | Blob | ArrayBuffer | ArrayBufferView
  /** What the content is called; a `File` brings its own name. */
  name?: string
  /** Seconds to live. Default: one day; at most 30 days. */
  ttl?: number
  /** Measurements of the content, at most 32 finite numbers; with recipients, they are sealed too. */
  quality?: Record<string, number>
  /**
   * Peer ids, at least one: the packet is sealed, and nobody else can read content, name, type or metrics. A key that is not known
   * here is looked for when the preview is made. Directly connected peers are asked for everybody's keys first, which names
   * nobody; then by name for those who are not among the newest 256: then these peers learn whose key is wanted, even where
   * nothing is shared afterwards.
   */
  recipients?: string[]
  /** Leaves the content as it is, whatever is found in it. Names are cleaned all the same. */
  verbatim?: boolean
  /** Noise for tensors; it is paid from the profile's privacy budget when the preview is made, shared or not. */
  noise?: Noise
  /** Names of the owner and the owner's things, by kind (`account`, `device`): pseudonyms stand for them wherever found. */
  identifiers?: Record<string, string>
  /** Numbers ≥ 0 that describe the owner: they leave as ranges that others share, or not at all. */
  facts?: Record<string, number>
  /** When, where, how, why, what and in which order to integrate; what is left out is as usual. */
  instructions?: Instructions
}

/** How an engram is packed, as for `pack` of `engram.js`, and what its packet says. `verbatim`: names stay as they are. */
export interface ShareEngramOptions extends PackOptions, Pick<PacketInit, 'name' | 'ttl' | 'instructions' | 'identifiers' | 'verbatim'> {
  /** Cancels the packing; what was packed then leaves to nobody. */
  signal?: AbortSignal
  /** How much is packed, 0 to 1. */
  onProgress?: (progress: number) => void
}

/** What became of an engram for one target. */
export type EngramShared = { target: string, cid: string, error?: undefined } | { target: string, cid?: undefined, error: { code: string, message: string } }

/** Gaussian noise for differential privacy. */
export interface Noise {
  /** The L2 norm to which all tensors together are clipped first. */
  clipNorm: number
  /** Standard deviation of the noise in clip norms. */
  noiseMultiplier: number
}

/** What would leave, byte for byte. For the owner's eyes: it holds what was found. */
export interface Preview {
  /** The packet's content id. */
  readonly cid: string
  /** The packet's binary form, as it leaves. */
  readonly packet: Uint8Array
  /** The packet's JSON form. */
  readonly json: string
  /** The blocks of the content, as they leave: its parts in order, then the list of them; none where the packet holds it. */
  readonly blocks: Uint8Array[]
  /** Who can read it: everybody in the network, or these peers. */
  readonly readers: 'everybody' | string[]

  /** Type and name as they leave; with recipients, inside the envelope. */
  readonly packetType: string
  readonly name: string | null
  /**
   * What the content was read as. Of `opaque` content only plain text is searched, and nothing is changed. Of an `engram`
   * names and metadata are searched, and nothing is changed: what is found there refuses it, unless it leaves verbatim.
   */
  readonly format: 'text' | 'json' | 'safetensors' | 'engram' | 'png' | 'jpeg' | 'opaque'
  /** Whether all that can be read of the content was searched. */
  readonly isSearched: boolean
  readonly isVerbatim: boolean
  readonly notes: string[]
  /** Bytes of the content before and after; with recipients, before it is sealed. */
  readonly bytesBefore: number
  readonly bytes: number
  /** Bytes of the envelope, where there are recipients. */
  readonly sealedBytes: number | null
  /** The beginning of a text as it leaves, at most 20,000 bytes of UTF-8; with recipients, before it is sealed. */
  readonly text?: string
  /** SHA-256 of the content as it leaves, in hex; with recipients, before it is sealed. */
  readonly contentDigest: string
  /** What was found, at most 200, and how much in all. */
  readonly findings: Finding[]
  readonly findingsTotal: number
  readonly findingsByKind: Record<string, number>
  /** Embedded entries (EXIF and the like) that were dropped, at most 200, and how many in all. */
  readonly dropped: { block: string, key: string }[]
  readonly droppedTotal: number
  /** What stands for identifiers, by kind. */
  readonly pseudonyms: Record<string, string>
  readonly epochs: Record<string, number>
  readonly environment: Record<string, string>
  /** What stands for facts, the facts that are not told, and how many owners share the ranges. */
  readonly ranges: Record<string, { lower: number, upper: number }>
  readonly suppressed: string[]
  readonly crowd: number
  /** The noise that was added, and the budget after it. */
  readonly noise: NoiseShown | null
  readonly checks: Check[]
  /** Metrics, life and the six instructions: readable by everybody. */
  readonly quality: Record<string, number>
  /** Metrics inside the envelope, where there are recipients. */
  readonly sealedQuality: Record<string, number>
  readonly ttlSecs: number
  readonly lines: [string, string, string, string, string, string]

  /** Notes it in the ledger and lets it leave, within ten minutes (`ERR_STALE`) and once; resolves to the content id. */
  share(): Promise<string>
  /** Lets go of it: it never leaves. */
  discard(): void
}

export interface Finding {
  /** Where: `content`, `name`, a field. */
  place: string
  /** What: `email`, `iban`, `secret`, … */
  kind: string
  label: string
  /** Percent. */
  confidence: number
  action: 'remove' | 'mask' | 'hash' | 'keep'
  before: string
  after: string
  /** A few characters around it. */
  contextBefore: string
  contextAfter: string
}

export interface NoiseShown {
  clipNorm: number
  multiplier: number
  epsilonSpent: number
  epsilonBudget: number
  delta: number
  /** How many numbers got noise, and the first of them before and after. */
  numbers: number
  sample: [number, number][]
}

export interface Check {
  name: string
  figure: number
  bound: number
  side: 'at_most' | 'at_least'
  isMet: boolean
}

/** What was sealed. The sender chose name and type. */
export interface Opened {
  content: Uint8Array
  name: string
  type: string
  /** The metrics that the packet would carry in the open. */
  quality: Record<string, number>
  /** Peer id of whoever sealed it. */
  author: string
}

export interface Ledger {
  /** The oldest first. */
  entries: LedgerEntry[]
  /** What all tabs of this profile together may spend on noise in this network, and have spent. */
  budget: { epsilon: number, delta: number, spent: number }
  /** The same for the noise of the built-in learner's steps. */
  training: { epsilon: number, delta: number, spent: number }
}

/** One thing that left, or several that are alike. Holds nothing of what was taken out. */
export interface LedgerEntry {
  /** When it left, RFC 3339; of several, the first. */
  at: string
  /** When the last of several left. */
  until?: string
  count: number
  /** The packet's content id; of several, the last. */
  cid: string
  packetType: string
  name: string | null
  /** Bytes of the content; of several, in all. */
  bytes: number
  readers: 'everybody' | string[]
  /** How much was found, by kind. */
  findings: Record<string, number>
  droppedTotal: number
  /** ε that was spent after it. */
  epsilonAfter: number | null
  contentDigest: string
  isVerbatim: boolean
  /** Whether a program made it by itself, such as what a learner exchanges: those in a row are one line. Else absent. */
  isRoutine?: boolean
}

/** What a packet asks of whoever integrates it. When and in which order are kept by every peer (see `due`); the rest is for the page. */
export interface Instructions {
  /** At once (the default); once a metric is measured to be at least a value, also written `performance_threshold_0.8`; every so many seconds (at least 10). */
  when?: 'immediate' | `${string}_threshold_${number}` | { threshold: { metric: string, value: number } } | { periodic: { secs: number } }
  where?: { memory: { region: string } } | { pattern: { pattern: string } } | { genetic: { locus: string } }
  /** With `replace` and `order: { after }`, the packet supersedes that one of the same author: it is listed instead. */
  how?: { merge: { weight: number } } | 'replace' | 'append'
  why?: { optimize: { metric: string } } | { adapt: { context: string } } | { learn: { task: string } }
  what?: { weights: { tensor: string, dtype: string, shape: number[] } } | { structure: { name: string, format: string } } | { parameters: { name: string } }
  /** `first`: before all others of the same author and type that are not due yet. `after`: after that packet was due. */
  order?: 'first' | { after: { cid: string } } | 'parallel'
}

/** A verified packet, in the JSON form that the network's contract fixes, and a few fields for convenience. */
export interface Packet {
  /** CIDv1 of the packet's binary form. */
  cid: string
  /** Peer id of whoever signed it. */
  author: string
  type: string
  /** Bytes of the content. */
  size: number
  name?: string

  /** The author, as in the JSON form. */
  organism_id: string
  packet_type: string
  /** The instructions and the payload, in codons. */
  genetic_sequence: string
  metadata: {
    integration_when: string
    integration_where: string
    integration_how: string
    integration_why: string
    integration_what: string
    integration_order: string
  }
  quality_metrics: Record<string, number>
  /** SHA-256 of the content, in hex. */
  compatibility_hash: string
  signature: string
  /** RFC 3339, UTC. */
  timestamp: string
  /** Seconds. */
  ttl: number
}

export interface PacketWithContent extends Packet {
  content: Uint8Array
}

export interface Filter {
  type?: string
  /** A peer id. */
  author?: string
  /** At most so many; all by default. */
  limit?: number
  /** Also those that a newer packet of their author supersedes. Default: false. */
  superseded?: boolean
}

export interface Tensor {
  dtype: 'f64' | 'f32' | 'f16' | 'bf16' | 'i64' | 'i32' | 'i16' | 'i8' | 'u64' | 'u32' | 'u16' | 'u8' | 'bool'
  /** Elements per dimension; row-major. */
  shape: number[]
  /** Little-endian, exactly as long as `dtype` and `shape` say. */
  data: ArrayBufferView
}

export interface PeerEvents {
  /** A peer connected, how it is connected changed, or it left. */
  peer: PeerInfo | PeerLeft
  /** A verified packet arrived that was not known before. */
  packet: Packet
  /**
   * A packet is to be integrated now, one's own too: what it waits for was measured, and what comes before it was due.
   * `round` is how often it was due before: 0, and more where it is due periodically. What was due before a reload is not
   * told again, except what waited for a measurement.
   */
  due: Packet & { round: number }
  /** A packet that waited will not be due: it expired, was revoked, what it comes after will never be due, or too many wait. */
  undue: { cid: string, reason: string }
  /** A packet's author took it back, with the packet `by`. */
  revoked: { cid: string, by: string }
  status: Status
  /** Reserved: the mesh's rhythm. Not sent yet. */
  pulse: unknown
  /** A fetch came further. */
  progress: Progress
  /** Something failed that nobody waits for, such as a stream handler, or a full disk (`ERR_NOT_KEPT`). */
  error: unknown
}

export interface PeerInfo {
  id: string
  /** `direct`: tab to tab. `relayed`: only through a relay. `relay`: it is one. */
  kind: 'direct' | 'relayed' | 'relay'
  /** Last round-trip time in ms. */
  roundTripMs?: number
  /** Packets first learned from it. */
  packetsIn: number
  /** Verified bytes received from it. */
  bytesIn: number
  /** Bytes served to it. */
  bytesOut: number
  left?: undefined
}

export interface PeerLeft {
  id: string
  left: true
}

export interface Status {
  category: 'ready' | 'proven' | 'busy' | 'offline' | 'unknown'
  /** Peers reached directly that are no relays. */
  members: number
  /** Peers reached only through a relay. */
  relayed: number
  relays: number
  /** Fetches under way. */
  fetches: number
  /** Packets known. */
  packets: number
}

export interface Progress {
  cid: string
  /** Bytes verified so far. */
  received: number
  total: number
}

/** Raw libp2p streams. Protocols of your own, spoken with any libp2p peer that is directly connected. */
export interface Streams {
  /** Lists the multiaddrs at which others reach this peer; a `status` event follows each change. */
  addresses(): Promise<string[]>
  /** Connects to a multiaddr that ends in `/p2p/<id>`. */
  dial(address: string): Promise<void>
  /** Resolves to the round-trip time in ms. */
  ping(peer: string): Promise<number>
  /** Opens a stream to a peer; rejects where that has not agreed to the protocol within ten seconds. */
  open(peer: string, protocol: string): Promise<Stream>
  /** Serves a protocol until the function returned is called. */
  handle(protocol: string, handler: (stream: Stream, peer: string) => unknown): Promise<() => void>
  /** Lists every connection. */
  connections(): Promise<Connection[]>
}

export interface Stream {
  /** Resolves to what has arrived, or to `null` at the end; rejects after a reset. */
  read(): Promise<Uint8Array | null>
  /** Writes all bytes. */
  write(bytes: Uint8Array): Promise<void>
  /** Ends this side; the other can still be read. */
  closeWrite(): Promise<void>
  /** Ends both sides at once; what was not delivered is lost. */
  reset(): Promise<void>
}

export interface Connection {
  peer: string
  kind: 'direct' | 'relayed'
  /** Remote multiaddr. */
  addr: string
  /** Types of the selected candidates (`host`, `srflx`, `prflx`, `relay`), where the connection is WebRTC. */
  localCandidate?: string
  remoteCandidate?: string
  bytesSent?: number
  bytesReceived?: number
}

/** An `Error` whose `code` does not change between versions; its message may. */
export interface ChorusError extends Error {
  code: ErrorCode
}

export type ErrorCode =
  /** An argument is not what it must be; the message names it. */
  | 'ERR_INVALID_ARGUMENT'
  /** A module cannot be loaded, or the second one not within 30 s. */
  | 'ERR_LOAD'
  /** The relay does not answer, or not as a relay does. */
  | 'ERR_RELAY_UNREACHABLE'
  /** The relay serves another network. */
  | 'ERR_WRONG_NETWORK'
  /** The relay names no address that a browser can dial. */
  | 'ERR_NO_ADDRESS'
  /** There is no identity to be had. */
  | 'ERR_IDENTITY'
  /** The peer cannot start. */
  | 'ERR_START'
  /** The peer is closed. */
  | 'ERR_CLOSED'
  /** Nobody who can be reached holds it. */
  | 'ERR_NOT_FOUND'
  | 'ERR_TOO_LARGE'
  /** Its author took it back. */
  | 'ERR_REVOKED'
  /** Only its author can take a packet back. */
  | 'ERR_NOT_AUTHOR'
  /** Too much is under way already. */
  | 'ERR_BUSY'
  /**
   * The browser does not keep what the peer stores: it ends with the tab. What cannot be noted in the ledger does not leave
   * (but see `ledger`).
   * Or there is no room for what is to be pinned.
   */
  | 'ERR_NOT_KEPT'
  /** What is kept is damaged, such as the ledger; the next share keeps it aside and says so. */
  | 'ERR_DAMAGED'
  /** What arrived is not what its id says. */
  | 'ERR_INVALID_CONTENT'
  /** What was to be shared makes no valid packet. */
  | 'ERR_INVALID_PACKET'
  /** The policy refuses to share what was found, such as a private key. Nothing has left. */
  | 'ERR_REFUSED'
  /** Something was found that cannot be taken out of such content; it leaves with `verbatim` or not at all. */
  | 'ERR_UNCLEAN'
  /** The privacy budget has no room for this noise. */
  | 'ERR_BUDGET'
  /** A recipient has published no key, or none that is still valid. */
  | 'ERR_NO_KEY'
  /** The packet is sealed to others. */
  | 'ERR_NOT_FOR_ME'
  /** A preview is older than ten minutes, or was shared or discarded before. */
  | 'ERR_STALE'
  /** Another peer refused or did not answer. */
  | 'ERR_PEER'
  | 'ERR_DIAL'
  /** A stream could not be opened, or broke. */
  | 'ERR_STREAM'
  /** The other side reset the stream. */
  | 'ERR_STREAM_RESET'
  | 'ERR_UNKNOWN'
