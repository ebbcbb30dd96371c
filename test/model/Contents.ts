/**
 * What stands behind the digests: two chunkers, two embedding models, and a store from which content can be collected.
 *
 * The models are not deterministic on purpose: asked twice for one input they give two vectors, so that whoever asks
 * a second time where recorded vectors should be used is found out.
 */
import { createHash } from "node:crypto"
import { leafOf, sparseBytes } from "./Fingerprint.ts"

export type SpecName = "S1" | "S2"
export const specs: {
  readonly [Name in SpecName]: { readonly chunkLength: number; readonly model: string }
} = {
  S1: { chunkLength: 1, model: "m1" },
  S2: { chunkLength: 2, model: "m2" }
}

/** `team/project` and the path of a document below it. */
export type DocumentName = `${string}/${string}:${string}`
export const projectOf = (document: DocumentName): string => document.slice(0, document.indexOf(":"))

/** What a version became under one spec; digests only. */
export interface Contents {
  readonly text: string
  readonly manifest: string
  readonly root: string
}

export interface ManifestEntry {
  readonly chunkId: string
  readonly input: string
  readonly start: number
  readonly end: number
}

export interface Chunk {
  readonly document: DocumentName
  readonly chunkId: string
  readonly leaf: string
  readonly tokens: ReadonlyArray<string>
}

export const digest = (text: string): string => createHash("sha256").update(text).digest("hex")

/** Cuts a text into chunks of the spec's length. A chunk's id depends on document, input and ordinal among equals. */
export const cut = (spec: SpecName, document: DocumentName, text: string): ReadonlyArray<ManifestEntry> => {
  const seen = new Map<string, number>()
  const entries: Array<ManifestEntry> = []
  const { chunkLength } = specs[spec]
  for (let start = 0; start < text.length; start += chunkLength) {
    const end = Math.min(start + chunkLength, text.length)
    const input = text.slice(start, end)
    const ordinal = seen.get(input) ?? 0
    seen.set(input, ordinal + 1)
    entries.push({ chunkId: chunkIdOf(document, input, ordinal), input, start, end })
  }
  return entries
}

const chunkIds = new Map<string, string>()
const chunkIdOf = (document: DocumentName, input: string, ordinal: number): string => {
  const name = `${document}|${input}|${ordinal}`
  const known = chunkIds.get(name)
  if (known !== undefined) return known
  const id = digest(name).slice(0, 32)
  chunkIds.set(name, id)
  return id
}

const leaves = new Map<string, string>()
/** A chunk as it is searched: `vector` stands for the dense vector's bytes. */
export const chunkOf = (
  document: DocumentName,
  chunkId: string,
  input: string,
  tag: string,
  vector: number
): Chunk => {
  const tokens = [...new Set(input)].sort()
  const name = `${document}|${chunkId}|${tag}|${vector}`
  let leaf = leaves.get(name)
  if (leaf === undefined) {
    const weights = new Map(tokens.map((token) => [token.charCodeAt(0), 1] as const))
    const dense = new Uint8Array(new Float32Array([Math.cos(vector), Math.sin(vector)]).buffer)
    const payload = JSON.stringify({ document, metadata: { tag } })
    leaf = leafOf({ chunkId, payload, sparse: sparseBytes(weights), dense })
    leaves.set(name, leaf)
  }
  return { document, chunkId, leaf, tokens }
}

export const rootOf = (entries: ReadonlyArray<ManifestEntry>, vectors: ReadonlyArray<number>): string =>
  digest(entries.map((entry, n) => `${entry.input}=${vectors[n]}`).join(";"))

/** Blobs and vectors of all projects, each under its project. What is not there was collected, or never stored. */
export class ContentStore {
  readonly blobs = new Map<string, string>()
  readonly vectors = new Map<string, number>()
  /** How many inputs the provider was asked for: what was paid. */
  embedded = 0

  blob(project: string, digestOfIt: string): string | undefined {
    return this.blobs.get(`${project}|${digestOfIt}`)
  }

  put(project: string, kind: string, text: string): string {
    const address = digest(`${kind}:${text}`)
    this.blobs.set(`${project}|${address}`, text)
    return address
  }

  vector(project: string, model: string, input: string): number | undefined {
    return this.vectors.get(vectorKey(project, model, input))
  }

  /** Asks the provider for what the project lacks; a recorded vector is never overwritten. */
  embed(project: string, model: string, inputs: ReadonlyArray<string>): void {
    for (const input of inputs) {
      if (this.vectors.has(vectorKey(project, model, input))) continue
      this.embedded += 1
      this.vectors.set(vectorKey(project, model, input), this.embedded)
    }
  }

  manifest(project: string, address: string): ReadonlyArray<ManifestEntry> | undefined {
    const text = this.blob(project, address)
    return text === undefined ? undefined : JSON.parse(text)
  }

  /** The vectors of a manifest, or nothing if one is missing. */
  vectorsOf(
    project: string,
    model: string,
    entries: ReadonlyArray<ManifestEntry>
  ): ReadonlyArray<number> | undefined {
    const found: Array<number> = []
    for (const { input } of entries) {
      const vector = this.vector(project, model, input)
      if (vector === undefined) return undefined
      found.push(vector)
    }
    return found
  }

  /** The chunks of a version from content alone, or nothing where text, manifest or vectors are gone. */
  load(
    document: DocumentName,
    spec: SpecName,
    contents: Contents,
    tag: string,
    checkRoot: boolean
  ): ReadonlyArray<Chunk> | undefined {
    const project = projectOf(document)
    const text = this.blob(project, contents.text)
    const entries = this.manifest(project, contents.manifest)
    if (text === undefined || entries === undefined) return undefined
    const vectors = this.vectorsOf(project, specs[spec].model, entries)
    if (vectors === undefined) return undefined
    if (checkRoot && rootOf(entries, vectors) !== contents.root) return undefined
    return entries.map((entry, n) =>
      chunkOf(document, entry.chunkId, text.slice(entry.start, entry.end), tag, vectors[n] ?? 0)
    )
  }
}

export const vectorKey = (project: string, model: string, input: string): string =>
  `${project}|${model}|${input}`
