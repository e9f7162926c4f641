/**
 * Engrams in a page: what a model has learned, packed to hand to others, unpacked, and let into another model.
 *
 * ```js
 * import { open, unpack, integrate } from 'https://relay.example/engram.js'
 * const engram = await open(file)                                    // a .safetensors file
 * const packed = await engram.pack({ decibels: 30 }, { onProgress: share => console.log(share) })
 * const integration = await integrate(model, packed, { cid, evaluate: async model => accuracyOf(await model.safetensors()) })
 * await integration.run()
 * await integration.undo()
 * ```
 *
 * Everything slow happens in workers: one for each engram and integration, whose memory is free after `close`. The wasm that
 * they share is loaded at the first call. Everything that fails rejects with an `Error` with a `code` (see
 * {@link EngramErrorCode}).
 */

import type { Tensor } from './chorus.js'

/**
 * Opens a safetensors file of at most 1 GiB, or tensors by name. Typed arrays stay usable: they are copied once on their way to
 * the worker. With `transfer` they are handed over instead, and the only copy is the one into the memory of the wasm; their
 * buffers are then of length 0 here.
 */
export function open(content: Blob | ArrayBuffer | ArrayBufferView | Record<string, Tensor>, options?: { signal?: AbortSignal, transfer?: boolean }): Promise<Engram>

/**
 * Unpacks an engram. Of a lossy one in layers, `layers` says how many are read: all by default. `base` is the engram that it
 * was packed against, where it was. `transfer` is as for `open`: who does not need the bytes any more hands them over, since
 * copying 20 MB takes a page some 20 ms.
 */
export function unpack(packed: Blob | ArrayBuffer | ArrayBufferView, options?: { base?: Engram, layers?: number, transfer?: boolean } & Running<number>): Promise<Engram>

/** How a call that takes long is followed and cancelled; it then rejects with `ERR_ABORTED`. */
export interface Running<T> {
  signal?: AbortSignal
  /** How much is done, 0 to 1. */
  onProgress?: (progress: T) => void
}

/** Tensors in the memory of a worker. */
export interface Engram {
  /** In the order of their numbers. */
  readonly tensors: { name: string, dtype: string, shape: number[], bytes: number }[]
  /** Bytes of the safetensors file. */
  readonly bytes: number
  /** Numbers of all tensors. */
  readonly parameters: number
  /** SHA-256 of the safetensors file, hex. */
  readonly digest: string
  readonly metadata: Record<string, string>

  /** Resolves to the safetensors file, a copy. */
  safetensors(options?: { signal?: AbortSignal }): Promise<Uint8Array>
  /**
   * Tells what each way of packing would make, the lossless ones first. Of files over 2 MB a sample is packed. `onPoint` is
   * called with each point as it comes.
   */
  curve(options?: { signal?: AbortSignal, base?: Engram, onPoint?: (point: Point) => void }): Promise<Point[]>
  /** Packs; resolves to the bytes of an engram. */
  pack(options?: PackOptions, how?: Running<number>): Promise<Uint8Array>
  /** Ends the worker and frees its memory. Later calls reject with `ERR_CLOSED`. */
  close(): void
}

export interface PackOptions {
  /**
   * `fast`, `neural` (slower, smaller) and `smallest` (the best of all that a page has) lose nothing. `lossy` needs `bits` or
   * `decibels`. Default: `lossy` where one of them is there, else `smallest`.
   */
  codec?: 'fast' | 'neural' | 'smallest' | 'lossy'
  /** Bits per number of the floats (f32, f16, bf16), > 0: at most so many. Numbers of other types come back to the bit. */
  bits?: number
  /** Ratio of signal to noise over all floats (of their differences from `base`): at least so much. */
  decibels?: number
  /** Lossy layers, 1 to 3, each four times finer than the one before: a receiver may stop after any. Default: 1. */
  layers?: number
  /** Adds a last layer, with which every bit comes back. Default: false. */
  exact?: boolean
  /** Tensors that the receiver has as well: differences are packed. They are found by name, type and shape. */
  base?: Engram
}

/** What a way of packing makes. */
export interface Point {
  /** The last three are blocks of 8 and 4 bits with a scale, to compare with: `pack` does not make them. */
  codec: 'fast' | 'neural' | 'smallest' | 'lossy' | 'int8' | 'int4' | 'nf4'
  /** Bits per number, all bytes counted. */
  bits: number
  /** Ratio of signal to noise over all floats; `null` where every bit comes back. */
  decibels: number | null
  /** Bytes of the engram. */
  bytes: number
  isEstimate: boolean
}

/**
 * Starts to let an engram into a model, or several that become one. An engram is packed (also against the model itself) or a
 * safetensors file, and holds whole weights of the same architecture, or differences (`isDelta`). Floats are blended; other
 * tensors must be the model's own. Rejects with `ERR_MISMATCH`, which names the tensor, where something does not fit. The model
 * itself is not touched.
 */
export function integrate(model: Engram, engram: Packed | Contribution[], options?: IntegrateOptions): Promise<Integration>

type Packed = Blob | ArrayBuffer | ArrayBufferView

export interface Contribution {
  bytes: Packed
  /** The packet's content id. */
  cid?: string
  /** What it counts beside the others, 0 to 65536. Default: 1. */
  weight?: number
}

export interface IntegrateOptions {
  /** The content id of the packet that the engram came in: it is in the trail. */
  cid?: string
  /**
   * Measures a model: a number, the higher the better, such as accuracy on examples of one's own. It is called with the model,
   * with the model and all of the engram, and after each step. The engram that it is given is closed afterwards, except the
   * model. Without it, size and direction of the change decide, and all of it is let in.
   */
  evaluate?: (engram: Engram) => number | Promise<number>
  /** Called after each step. */
  onStep?: (integration: Integration) => void
  signal?: AbortSignal
  /** Hands the engrams' bytes over instead of copying them, as for `open`. Default: false. */
  transfer?: boolean
  /** Whether the engrams hold differences from the model. Default: false. */
  isDelta?: boolean
  /** How several become one. Default: `ties`, with the largest fifth of each. */
  resolution?: 'mean' | 'ties' | { tiesOf: { keep: number } } | { dareOf: { drop: number, seed: number } }
  /** Fall of the metric that takes the engram out again. Default: 0.01. */
  mostLoss?: number
  /** Fall of the metric with all of the engram up to which parts of it are tried. Default: 0.2. */
  mostShadowLoss?: number
  /** The share that is let in first. Default: 0.125. */
  firstAlpha?: number
}

/** An engram on its way into a model. */
export interface Integration {
  /** `assess`: validated, not yet measured. `monitor`: it is in. `rolled-back`: the model is as it was. */
  readonly step: 'assess' | 'blend' | 'monitor' | 'rolled-back'
  /** The share of the engram that is in the model, 0 to 1. */
  readonly alpha: number
  /** What happened, the oldest first, at most 64 lines. */
  readonly trail: TrailLine[]
  /** What was measured, in order; `metric` is `null` where there was no `evaluate`. */
  readonly curve: { alpha: number, metric: number | null }[]

  /** Measures and blends until the engram is in, or out again; resolves to the step. */
  run(options?: { signal?: AbortSignal }): Promise<Integration['step']>
  /** Takes a measurement, or makes one with `evaluate`: where the metric fell too far, the engram is taken out. */
  measure(metric?: number, options?: { signal?: AbortSignal }): Promise<Integration['step']>
  /** Takes the engram out: the model has the very bytes that it had. */
  undo(): Promise<void>
  /** Resolves to the model as it is now. */
  model(options?: { signal?: AbortSignal }): Promise<Engram>
  /** Ends the worker and frees its memory. */
  close(): void
}

/** `cids`: the packets that it was about. */
export type TrailLine = { cids: string[] } & (
  | { event: 'validated', parameters: number }
  | { event: 'resolved', disagreement: number }
  | { event: 'assessed', before: number | null, after: number | null, relativeNorm: number, cosine: number }
  | { event: 'blended', alpha: number, metric: number | null }
  | { event: 'settled', alpha: number }
  /** What the engram says of itself speaks against it: nothing of it was let in. */
  | { event: 'refused' }
  | { event: 'rolled-back', metric: number | null }
)

export type EngramErrorCode =
  /** An argument is not what it must be; the message names it. */
  | 'ERR_INVALID_ARGUMENT'
  /** The bytes are no engram or no safetensors file, or were changed; the message names the tensor and the offset. */
  | 'ERR_DAMAGED'
  /** More than may be held, or be shared. */
  | 'ERR_TOO_LARGE'
  /** Base, model and engram do not belong together; the message names the tensor. */
  | 'ERR_MISMATCH'
  | 'ERR_ABORTED'
  /** The wasm or the worker cannot be loaded. */
  | 'ERR_LOAD'
  | 'ERR_CLOSED'
  | 'ERR_UNKNOWN'
