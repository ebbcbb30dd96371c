/** How much a document may be. Apart from the parsers, so that whoever only reads settings does not load them. */
export interface PrepareLimits {
  /** Of the source. */
  readonly maxBytes: number
  /** Of one document. */
  readonly maxChunks: number
}

export const defaultPrepareLimits: PrepareLimits = { maxBytes: 16 * 1024 * 1024, maxChunks: 50_000 }
