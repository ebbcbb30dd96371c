/**
 * What people call sources and documents. Their names are content, which no table can index: they are looked up by reading
 * what the rows name.
 */
import { Effect, Option, Schema, Stream } from "effect"
import type { Descriptor } from "../../events/Document.ts"
import { DocumentId, type ProjectScope, scopeKey } from "../../events/Ids.ts"
import type { SourceSettings } from "../../events/Source.ts"
import type { ContentService } from "../log/Content.ts"
import type { LogFailed } from "../log/Log.ts"
import { type DocumentRow, everyDocument, type ReadModelsService, type SourceRow } from "../log/ReadModels.ts"
import { DocumentUnknown, SourceUnknown } from "./Reprise.ts"

const isDocumentId = Schema.is(DocumentId)
const decoder = new TextDecoder()

/** What the reader shares with the writer: the descriptor of a document, for people. */
export const descriptorOf = (
  content: ContentService,
  row: DocumentRow
): Effect.Effect<Descriptor | undefined, LogFailed> =>
  Effect.map(content.blob(row.scope, row.descriptor), (bytes) => {
    if (bytes === undefined) return undefined
    const descriptor: Descriptor = JSON.parse(decoder.decode(bytes))
    return descriptor
  })

export const settingsOf = (
  content: ContentService,
  scope: ProjectScope,
  digest: DocumentRow["raw"]
): Effect.Effect<SourceSettings | undefined, LogFailed> =>
  Effect.map(content.blob(scope, digest), (bytes) => {
    if (bytes === undefined) return undefined
    const settings: SourceSettings = JSON.parse(decoder.decode(bytes))
    return settings
  })

/** The first of some sources that has this id or this root. */
export const sourceNamed = (
  content: ContentService,
  sources: ReadonlyArray<SourceRow>,
  name: string
): Effect.Effect<SourceRow | undefined, LogFailed> =>
  Effect.map(
    Effect.findFirst(sources, (source) =>
      source.sourceId === name
        ? Effect.succeed(true)
        : Effect.map(settingsOf(content, source.scope, source.settings), (settings) => {
            const root = settings?.kind === "files" ? settings.root : settings?.name
            return root !== undefined && (root === name || root === name.replace(/\/+$/, ""))
          })
    ),
    Option.getOrUndefined
  )

/** A source that was not removed, by its id or its root. */
export const findSource = Effect.fnUntraced(function* (
  readModels: ReadModelsService,
  content: ContentService,
  scope: ProjectScope,
  name: string
) {
  const sources = (yield* readModels.sources(scope)).filter((source) => !source.removed)
  return (yield* sourceNamed(content, sources, name)) ?? (yield* new SourceUnknown({ name, scope }))
})

/** A document by its id, its URI, the path below its root or the path on this machine. */
export const findDocument = Effect.fnUntraced(function* (
  readModels: ReadModelsService,
  content: ContentService,
  scope: ProjectScope,
  name: string
) {
  if (isDocumentId(name)) {
    const row = yield* readModels.document(name)
    if (row !== undefined && scopeKey(row.scope) === scopeKey(scope)) return row
  }
  const found = yield* Stream.runHead(
    Stream.filterEffect(everyDocument(readModels, { scope }), (row) =>
      Effect.map(
        descriptorOf(content, row),
        (descriptor) => descriptor !== undefined && isNamed(descriptor, name)
      )
    )
  )
  return yield* Effect.mapError(found, () => new DocumentUnknown({ name, scope }))
})

/** By URI, by the path below its root, or by the path on this machine. */
const isNamed = ({ externalId, uri }: Descriptor, name: string): boolean =>
  uri === name || externalId === name || (uri.startsWith("file://") && pathOf(uri) === name)

/** Whoever submits a document chooses its URI: it need not be one. */
const pathOf = (uri: string): string | undefined => {
  try {
    return decodeURIComponent(uri.slice("file://".length))
  } catch {
    return undefined
  }
}
