/**
 * What the messages of a turn are about, read for all of them together: a statement for many costs little more than one for
 * one, and a decision that finds everything here takes no step of a fiber. It holds until the turn's write, because nobody
 * else appends; whatever is not here is read by whoever asks.
 */
import { Array as Arr, Effect } from "effect"
import {
  type CodeFingerprint,
  type Digest,
  type DocumentId,
  type ProjectScope,
  scopeKey
} from "../../events/Ids.ts"
import type { WorkResult } from "../../src/bus/Bus.ts"
import type { LogFailed } from "../../src/log/Log.ts"
import type { NamedDocument } from "../../src/log/ReadModels.ts"
import type { Desk } from "./Desk.ts"
import { type ManifestOutline, manifestOutline } from "./Manifest.ts"
import type { Message } from "./Office.ts"

/** Documents, or inputs of vectors, that are looked up in one read. */
const lookupPage = 250

interface Wanted {
  readonly scope: ProjectScope
  readonly model: CodeFingerprint
  readonly inputs: Set<Digest>
}

export class AtHand {
  readonly documents = new Map<DocumentId, NamedDocument>()
  /** Of each project and model: by input, the stored vector's digest, or that there is none. */
  readonly #vectors = new Map<string, Map<Digest, Digest | undefined>>()
  readonly #outlines = new Map<Uint8Array, ManifestOutline | undefined>()

  /** `undefined` where nothing was looked up. */
  vectors(scope: ProjectScope, model: CodeFingerprint): ReadonlyMap<Digest, Digest | undefined> | undefined {
    return this.#vectors.get(vectorsKey(scope, model))
  }

  outline(manifest: Uint8Array): ManifestOutline | undefined {
    return this.#outlines.has(manifest) ? this.#outlines.get(manifest) : manifestOutline(manifest)
  }

  clear(): void {
    this.documents.clear()
    this.#vectors.clear()
    this.#outlines.clear()
  }

  /** Replaces what it held by what these messages are about. */
  read(desk: Desk, messages: ReadonlyArray<Message>): Effect.Effect<void, LogFailed> {
    return Effect.suspend(() => {
      this.clear()
      const documents = new Set<DocumentId>()
      const wanted = new Map<string, Wanted>()
      for (const message of messages) {
        if (message._tag === "Command") {
          for (const id of documentsOf(message.command)) if (!desk.open.has(id)) documents.add(id)
        } else if (message._tag === "Result") this.#want(desk, wanted, message.delivery.value)
      }
      return documents.size === 0 && wanted.size === 0 ? Effect.void : this.#readAll(desk, documents, wanted)
    })
  }

  #want(desk: Desk, all: Map<string, Wanted>, result: WorkResult): void {
    if (result._tag === "Vectors") {
      const inputs = result.vectors.flatMap(({ inputHash }) =>
        desk.inputs.isWanted(result.scope, result.model, inputHash) ? [inputHash] : []
      )
      add(all, result.scope, result.model, inputs)
    }
    if (result._tag !== "Prepared") return
    const job = desk.jobs.get(result.jobId)
    if (job?.lane !== "prepare") return
    const outline = manifestOutline(result.manifest)
    this.#outlines.set(result.manifest, outline)
    if (outline !== undefined) add(all, job.work.scope, job.work.pair.model, outline.inputs)
  }

  readonly #readAll = Effect.fnUntraced(function* (
    this: AtHand,
    { ports }: Desk,
    documents: ReadonlySet<DocumentId>,
    wanted: ReadonlyMap<string, Wanted>
  ): Effect.fn.Return<void, LogFailed> {
    for (const page of pagesOf(documents)) {
      const found = yield* ports.readModels.named(page)
      for (const [id, named] of found) this.documents.set(id, named)
    }
    for (const [key, { inputs, model, scope }] of wanted) {
      const vectors = new Map<Digest, Digest | undefined>()
      this.#vectors.set(key, vectors)
      for (const page of pagesOf(inputs)) {
        const found = yield* ports.content.vectorDigests(scope, model, page)
        for (const input of page) vectors.set(input, found.get(input))
      }
    }
  })
}

const add = (
  all: Map<string, Wanted>,
  scope: ProjectScope,
  model: CodeFingerprint,
  inputs: ReadonlyArray<Digest>
): void => {
  if (inputs.length === 0) return
  const key = vectorsKey(scope, model)
  const wanted = all.get(key) ?? { scope, model, inputs: new Set() }
  all.set(key, wanted)
  for (const input of inputs) wanted.inputs.add(input)
}

const documentsOf = (
  command: Extract<Message, { readonly _tag: "Command" }>["command"]
): ReadonlyArray<DocumentId> => {
  if (command._tag === "DocumentRemove") return [command.documentId]
  if (command._tag !== "DocumentSubmit") return []
  const { documentId, movedFrom } = command
  return movedFrom === undefined ? [documentId] : [documentId, movedFrom]
}

/** Pages of a lookup. */
export const pagesOf = <A>(all: Iterable<A>): ReadonlyArray<ReadonlyArray<A>> => Arr.chunksOf(all, lookupPage)

const vectorsKey = (scope: ProjectScope, model: CodeFingerprint): string => `${scopeKey(scope)}/${model}`
