/**
 * What a name means to who wants to remove it, and what removing it comes to: the same for the writer and for a dry run.
 */
import { Effect, Either, Stream } from "effect"
import type { CommandAnswer } from "../../events/Commands.ts"
import type { ProjectScope } from "../../events/Ids.ts"
import { emptyReceipt, type Receipt } from "../../events/Receipt.ts"
import type { ContentService } from "../log/Content.ts"
import type { LogFailed } from "../log/Log.ts"
import { type DocumentRow, everyDocument, type ReadModelsService, type SourceRow } from "../log/ReadModels.ts"
import { findDocument, findSource } from "./Names.ts"

export type Removal =
  /** With how many documents it has. */
  | { readonly _tag: "Source"; readonly source: SourceRow; readonly documents: number }
  | { readonly _tag: "Document"; readonly row: DocumentRow }
  /** A document that was removed before. */
  | { readonly _tag: "Gone" }
  | { readonly _tag: "Unknown"; readonly name: string; readonly reason: string }

export const removalOf = Effect.fnUntraced(function* (
  readModels: ReadModelsService,
  content: ContentService,
  scope: ProjectScope,
  name: string
): Effect.fn.Return<Removal, LogFailed> {
  const source = yield* Effect.either(findSource(readModels, content, scope, name))
  if (Either.isRight(source))
    return { _tag: "Source", source: source.right, documents: yield* countOf(readModels, source.right) }
  if (source.left._tag !== "SourceUnknown") return yield* source.left
  const found = yield* Effect.either(findDocument(readModels, content, scope, name))
  if (Either.isLeft(found)) {
    if (found.left._tag !== "DocumentUnknown") return yield* found.left
    return { _tag: "Unknown", name, reason: found.left.message }
  }
  const row = found.right
  return row.removed !== undefined && row.open === undefined ? { _tag: "Gone" } : { _tag: "Document", row }
})

/**
 * After everything that was accepted of the document so far, and before whatever its sender says next: a space is below all that
 * a revision may go on with, as `v1` does in `v1.1`.
 */
export const keyAfterAll = ({ orderKey }: Pick<DocumentRow, "orderKey">): string => `${orderKey ?? ""} `

/**
 * Asks for a removal with {@link keyAfterAll}. Where something newer was accepted since the document was looked at, the removal
 * came late and changed nothing: it is looked at and asked for again. `times` counts that.
 */
export const removingAfterAll = Effect.fnUntraced(function* <E>(
  readModels: Pick<ReadModelsService, "document">,
  row: DocumentRow,
  ask: (row: DocumentRow, times: number) => Effect.Effect<CommandAnswer, E>
): Effect.fn.Return<CommandAnswer, E | LogFailed> {
  let newest = row
  for (let times = 0; ; times++) {
    const answer = yield* ask(newest, times)
    if (answer.outcome !== "superseded") return answer
    newest = (yield* readModels.document(row.documentId)) ?? newest
  }
})

/** Its receipt, but for the position. A name that nothing has is one that was not taken, as a path of `add` is. */
export const receiptOf = (removal: Removal): Receipt => {
  switch (removal._tag) {
    case "Source":
      return { ...emptyReceipt, requested: removal.documents, removed: removal.documents }
    case "Document":
      return { ...emptyReceipt, requested: 1, removed: 1 }
    case "Gone":
      return { ...emptyReceipt, requested: 1, unchanged: 1 }
    case "Unknown":
      return {
        ...emptyReceipt,
        requested: 1,
        failed: 1,
        rejected: 1,
        failures: [{ uri: removal.name, reason: removal.reason }]
      }
  }
}

const countOf = (readModels: ReadModelsService, { scope, sourceId }: SourceRow) =>
  everyDocument(readModels, { scope, source: sourceId }).pipe(
    Stream.filter(({ live, open }) => live !== undefined || open !== undefined),
    Stream.runCount
  )
