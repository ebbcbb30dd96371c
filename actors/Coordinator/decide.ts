/**
 * What a command about a document leads to: pure and total. Ids, digests and what is known come in; events, order keys
 * and the outcome go out.
 *
 * Invariants: every answer but `superseded` raises the document's order key; nothing is appended for what changes
 * nothing; the lateness of a move is judged for each of its two documents alone (FOLD.md rules 17, 18 and 20).
 */
import type { DocumentRemove, DocumentSubmit, Outcome } from "../../events/Commands.ts"
import {
  type DocumentEvent,
  DocumentRemoved,
  DocumentSubmitted,
  DocumentVersion,
  documentStream
} from "../../events/Document.ts"
import type { CodeFingerprint, Digest, DocumentId } from "../../events/Ids.ts"
import type { NewEvent } from "../../src/log/Log.ts"
import type { DocumentRow } from "../../src/log/ReadModels.ts"

/** A document as a decision sees it. Nothing may be known of it but its last order key. */
export interface Known {
  readonly id: DocumentId
  readonly row: DocumentRow | undefined
  readonly lastKey: string | undefined
}

export interface RaisedKey {
  readonly documentId: DocumentId
  readonly orderKey: string
}

export interface Decision {
  readonly outcome: Outcome
  /** In the order of appending; none where nothing changes. */
  readonly events: ReadonlyArray<NewEvent>
  readonly keys: ReadonlyArray<RaisedKey>
  /** The version that was opened, or that the answer is about. */
  readonly version: DocumentVersion | undefined
}

export interface SubmitFacts {
  readonly document: Known
  /** The document whose place this one takes. */
  readonly from: Known | undefined
  /** The document that the open mutation would take with it, with the order key under which it would. */
  readonly pending: { readonly from: Known; readonly orderKey: string } | undefined
  readonly raw: Digest
  readonly descriptor: Digest
  /** What commits are made under. Something parked under other code may be tried again. */
  readonly live: { readonly chunker: CodeFingerprint; readonly model: CodeFingerprint }
}

/** Bytewise in UTF-8, as order keys are compared. */
export const compareKeys = (one: string, other: string): number =>
  Buffer.compare(Buffer.from(one), Buffer.from(other))

/** Whether a command with this key arrives too late for the document. */
const isLate = (known: Known, orderKey: string): boolean =>
  known.lastKey !== undefined && compareKeys(orderKey, known.lastKey) <= 0

/** There is something to remove: a version that is found, or one that may yet be. */
const isThere = (row: DocumentRow | undefined): row is DocumentRow =>
  row !== undefined && (row.live !== undefined || row.open !== undefined || row.parked !== undefined)

/** A move takes its source along only while nothing newer was said of the source. */
export const stillLeaves = (from: Known, orderKey: string): boolean =>
  from.lastKey === orderKey && isThere(from.row)

const asVersion = (version: number): DocumentVersion =>
  DocumentVersion.make(version, { disableValidation: true })

const removed = (
  document: DocumentId,
  reason: DocumentRemoved["reason"],
  command: { readonly commandId: string; readonly orderKey: string; readonly sync?: number | undefined }
): NewEvent =>
  documentEvent(
    DocumentRemoved.make({
      documentId: document,
      reason,
      commandId: command.commandId,
      orderKey: command.orderKey,
      ...(command.sync === undefined ? {} : { sync: command.sync })
    })
  )

export const documentEvent = (event: DocumentEvent): NewEvent => ({
  stream: documentStream(event.documentId),
  event
})

export const decideSubmit = (command: DocumentSubmit, facts: SubmitFacts): Decision => {
  const { document, from } = facts
  const { orderKey } = command
  const late = isLate(document, orderKey)
  const leaving = from !== undefined && from.id !== document.id && !isLate(from, orderKey) ? from : undefined
  const leavingKey = leaving === undefined ? [] : [{ documentId: leaving.id, orderKey }]
  const leavesNow =
    leaving !== undefined && isThere(leaving.row) ? [removed(leaving.id, "moved", command)] : []
  if (late) {
    return {
      outcome: leavesNow.length > 0 ? "removed" : "superseded",
      events: leavesNow,
      keys: leavingKey,
      version: undefined
    }
  }
  const keys = [{ documentId: document.id, orderKey }, ...leavingKey]
  const answered = settled(command, facts)
  if (answered !== undefined) {
    const newest = document.row?.submittedVersion
    return {
      outcome: answered,
      events: leavesNow,
      keys,
      version: newest === undefined ? undefined : asVersion(newest)
    }
  }
  const taken = takeOver(facts, leaving, command)
  const version = asVersion((document.row?.submittedVersion ?? 0) + 1)
  const submitted = DocumentSubmitted.make({
    documentId: document.id,
    sourceId: command.sourceId,
    version,
    raw: facts.raw,
    rawBytes: command.raw.length,
    descriptor: facts.descriptor,
    commandId: command.commandId,
    orderKey,
    ...(command.sync === undefined ? {} : { sync: command.sync }),
    ...(taken.movedFrom === undefined ? {} : { movedFrom: taken.movedFrom })
  })
  return {
    outcome: "accepted",
    events: [...taken.events, documentEvent(submitted)],
    keys: [...keys, ...taken.keys],
    version
  }
}

/** The answer to a submission that opens nothing. */
const settled = (command: DocumentSubmit, facts: SubmitFacts): Outcome | undefined => {
  const { row } = facts.document
  if (row === undefined) return undefined
  // What a person took out stays out until it is explicitly added again; a sync that meets it does not add it.
  if (row.removed === "requested" && command.sync !== undefined && command.readmit !== true) return "removed"
  const sameRaw = row.raw === facts.raw
  const same = sameRaw && row.descriptor === facts.descriptor
  const newest = row.submittedVersion
  if (same && row.open?.version === newest) return "unchanged"
  if (same && row.live?.version === newest && row.removed === undefined) return "unchanged"
  if (same && row.parked?.version === newest) {
    const { code } = row.parked
    if (code === facts.live.chunker || code === facts.live.model) return "parked"
  }
  return sameRaw && row.removed === "skipped" ? "skipped" : undefined
}

/**
 * A newer submission takes over the move of the open one that it supersedes. Where it is a move itself, of another
 * document, the former source leaves at once.
 */
const takeOver = (
  { document, pending }: SubmitFacts,
  leaving: Known | undefined,
  command: DocumentSubmit
): {
  readonly movedFrom: DocumentId | undefined
  readonly events: ReadonlyArray<NewEvent>
  readonly keys: ReadonlyArray<RaisedKey>
} => {
  const inherited =
    pending !== undefined && pending.from.id !== document.id && stillLeaves(pending.from, pending.orderKey)
      ? pending.from.id
      : undefined
  if (leaving === undefined) {
    const keys = inherited === undefined ? [] : [{ documentId: inherited, orderKey: command.orderKey }]
    return { movedFrom: inherited, events: [], keys }
  }
  const events =
    inherited === undefined || inherited === leaving.id ? [] : [removed(inherited, "moved", command)]
  return { movedFrom: leaving.id, events, keys: [] }
}

export interface RemoveFacts {
  readonly document: Known
  /** See {@link SubmitFacts}: it leaves together with the document that would have taken its place. */
  readonly pending: { readonly from: Known; readonly orderKey: string } | undefined
}

export const decideRemove = (command: DocumentRemove, { document, pending }: RemoveFacts): Decision => {
  if (isLate(document, command.orderKey)) {
    return { outcome: "superseded", events: [], keys: [], version: undefined }
  }
  const keys = [{ documentId: document.id, orderKey: command.orderKey }]
  const { row } = document
  // A removal that a person asks for excludes the path, also where it was missing already.
  const excludes = command.reason === "requested" && row?.removed !== undefined && row.removed !== "requested"
  if (row === undefined || (!isThere(row) && !excludes)) {
    return { outcome: "unchanged", events: [], keys, version: undefined }
  }
  const goesAlong =
    pending !== undefined && pending.from.id !== document.id && stillLeaves(pending.from, pending.orderKey)
  return {
    outcome: "removed",
    events: [
      removed(document.id, command.reason, command),
      ...(goesAlong ? [removed(pending.from.id, "moved", command)] : [])
    ],
    keys,
    version: asVersion(row.submittedVersion)
  }
}

/** The removal of a document by what is no command about it alone: a source's, an approval's, a skipped version's. */
export const removal = (
  row: DocumentRow,
  reason: DocumentRemoved["reason"],
  commandId: string,
  sync?: number
): ReadonlyArray<NewEvent> =>
  isThere(row) ? [removed(row.documentId, reason, { commandId, orderKey: row.orderKey ?? "", sync })] : []
