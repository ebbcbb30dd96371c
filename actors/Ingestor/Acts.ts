/**
 * What a pass over a source decides, to be carried out by the Coordinator, or only counted by a dry run.
 */
import { Effect } from "effect"
import type { Digest, DocumentId } from "../../events/Ids.ts"
import type { RawPath } from "../../src/sources/RawPath.ts"
import type { ItemBytes, Stamp } from "../../src/sources/SourceReader.ts"
import type { Held } from "./Flow.ts"
import type { MissingDocument } from "./Missing.ts"

/** A new or changed file, ready to be submitted. */
export interface Submission {
  readonly path: RawPath
  readonly documentId: DocumentId
  readonly uri: string
  readonly item: ItemBytes
  readonly movedFrom: MissingDocument | undefined
  readonly becomes: "added" | "updated" | "moved"
  readonly readmit: boolean
}

/** How a submission ended. */
export type Ended = "committed" | "not committed"

export interface Acts<E> {
  /** In this order. Counts what becomes of each, and lets go of what is `held` as soon as it need not be. */
  readonly submit: (
    submissions: ReadonlyArray<Submission>,
    held: Held
  ) => Effect.Effect<ReadonlyArray<Ended>, E>
  /** Counts what becomes of a version that is under way since an earlier pass. */
  readonly wait: (
    document: { readonly documentId: DocumentId; readonly version: number; readonly uri: string },
    becomes: "added" | "updated"
  ) => Effect.Effect<void, E>
  /** The source has it no more: it is gone, or left out. */
  readonly remove: (documentId: DocumentId, why: MissingDocument["why"]) => Effect.Effect<void, E>
  /** The file was read and is as it was: what to trust next time. */
  readonly refresh: (
    documentId: DocumentId,
    path: RawPath,
    stamp: Stamp,
    content: { readonly raw: Digest; readonly descriptor: Digest }
  ) => Effect.Effect<void, E>
  /** Nobody needs to remember this file any more. */
  readonly forget: (documentId: DocumentId) => Effect.Effect<void, E>
  /** What was to be remembered and forgotten so far is. */
  readonly flush: Effect.Effect<void, E>
}

/** Each of them waits for a beginning. `isUsed`: anything was done. */
export const actsAfter = <A, E, E2>(
  begun: Effect.Effect<A, E2>,
  acts: (begun: A) => Acts<E>
): Effect.Effect<{ readonly acts: Acts<E | E2>; readonly isUsed: () => boolean }> =>
  Effect.gen(function* () {
    let used = false
    const cached = yield* Effect.cached(Effect.map(begun, acts))
    const found = Effect.suspend(() => {
      used = true
      return cached
    })
    return { acts: each(found, () => used), isUsed: () => used }
  })

const each = <E, E2>(found: Effect.Effect<Acts<E>, E2>, isUsed: () => boolean): Acts<E | E2> => ({
  submit: (submissions, held) => Effect.flatMap(found, ({ submit }) => submit(submissions, held)),
  wait: (document, becomes) => Effect.flatMap(found, ({ wait }) => wait(document, becomes)),
  remove: (documentId, reason) => Effect.flatMap(found, ({ remove }) => remove(documentId, reason)),
  refresh: (documentId, path, stamp, content) =>
    Effect.flatMap(found, ({ refresh }) => refresh(documentId, path, stamp, content)),
  forget: (documentId) => Effect.flatMap(found, ({ forget }) => forget(documentId)),
  flush: Effect.suspend(() => (isUsed() ? Effect.flatMap(found, ({ flush }) => flush) : Effect.void))
})
