/**
 * What a command about a document leads to: pure and total. Ids, digests and what is known come in; events, order keys
 * and the outcome go out.
 *
 * Invariants: every answer but `superseded` raises the document's order key; nothing is appended for what changes
 * nothing; the lateness of a move is judged for each of its two documents alone (FOLD.md rules 17, 18 and 20).
 */
import type { DocumentRemove, DocumentSubmit, Outcome } from "../../events/Commands.ts"
import {
  DocumentErased,
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
  /** What its open or parked mutation takes along when it is committed, with the order key of that move. */
  readonly takes: Move | undefined
}

export interface Move {
  readonly from: Known
  readonly orderKey: string
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

/** Which command an event answers to. */
export interface Cause {
  readonly commandId: string
  readonly orderKey: string
  readonly sync?: number | undefined
}

/** A removal of what is live, open or parked, and of what would have left with its open mutation. */
const removalOf = (
  known: Known,
  reason: DocumentRemoved["reason"],
  cause: Cause,
  spokenFor: ReadonlyArray<DocumentId>
): ReadonlyArray<NewEvent> =>
  isThere(known.row) ? [removed(known.id, reason, cause), ...leavingWith(known.takes, cause, spokenFor)] : []

/**
 * The removal that ends a move, unless something newer was said of its source, or the command in hand decides about it
 * itself. It has the key that the move was asked for with: what is newer than that still counts. A source whose own move
 * is still open takes the source of that with it: of a chain of moves any link may be committed first.
 */
export const leavingWith = (
  move: Move | undefined,
  cause: Cause,
  spokenFor: ReadonlyArray<DocumentId>
): ReadonlyArray<NewEvent> =>
  move === undefined || !stillLeaves(move) || spokenFor.includes(move.from.id)
    ? []
    : removalOf(move.from, "moved", { ...cause, orderKey: move.orderKey }, [...spokenFor, move.from.id])

/** Nothing newer was said of its source. */
const stillLeaves = ({ from, orderKey }: Move): boolean => from.lastKey === orderKey

/** For events that every document has: the log checks each event that it is given. */
export const checkedByLog = { disableValidation: true } as const

const asVersion = (version: number): DocumentVersion =>
  DocumentVersion.make(version, { disableValidation: true })

const removed = (document: DocumentId, reason: DocumentRemoved["reason"], cause: Cause): NewEvent =>
  documentEvent(
    DocumentRemoved.make({
      documentId: document,
      reason,
      commandId: cause.commandId,
      orderKey: cause.orderKey,
      ...(cause.sync === undefined ? {} : { sync: cause.sync })
    })
  )

const erased = (document: DocumentId, version: DocumentVersion, commandId: string): NewEvent =>
  documentEvent(DocumentErased.make({ documentId: document, version, commandId }))

export const documentEvent = (event: DocumentEvent): NewEvent => ({
  stream: documentStream(event.documentId),
  event
})

export const decideSubmit = (command: DocumentSubmit, facts: SubmitFacts): Decision => {
  const { document, from } = facts
  const { orderKey } = command
  const late = isLate(document, orderKey)
  const leaving = from !== undefined && from.id !== document.id && !isLate(from, orderKey) ? from : undefined
  const spokenFor = [...(late ? [] : [document.id]), ...(leaving === undefined ? [] : [leaving.id])]
  const keys = spokenFor.map((documentId) => ({ documentId, orderKey }))
  const answered = late ? "superseded" : settled(command, facts)
  if (answered !== undefined) {
    const events = leaving === undefined ? [] : removalOf(leaving, "moved", command, spokenFor)
    const newest = document.row?.submittedVersion
    return {
      // Where nothing else happens, the source's removal is what the answer tells.
      outcome: events.length > 0 && (late || answered === "unchanged") ? "removed" : answered,
      events,
      keys,
      version: late || newest === undefined ? undefined : asVersion(newest)
    }
  }
  // A newer submission takes over the move of the open or parked one that it supersedes, as old as that move is: whether
  // something newer is said of the source must not depend on which is heard first. Of two sources one leaves at once.
  const { takes } = document
  const takenOver = leaving === undefined && takes !== undefined && stillLeaves(takes) ? takes : undefined
  const movedFrom = leaving?.id ?? takenOver?.from.id
  const version = asVersion((document.row?.submittedVersion ?? 0) + 1)
  const submitted = DocumentSubmitted.make(
    {
      documentId: document.id,
      sourceId: command.sourceId,
      version,
      raw: facts.raw,
      rawBytes: command.raw.length,
      descriptor: facts.descriptor,
      commandId: command.commandId,
      orderKey,
      ...(command.sync === undefined ? {} : { sync: command.sync }),
      ...(movedFrom === undefined ? {} : { movedFrom }),
      ...(takenOver === undefined ? {} : { moveKey: takenOver.orderKey })
    },
    checkedByLog
  )
  return {
    outcome: "accepted",
    events: [
      ...(leaving === undefined ? [] : leavingWith(takes, command, spokenFor)),
      documentEvent(submitted)
    ],
    keys,
    version
  }
}

/** The answer to a submission that opens nothing. */
const settled = (command: DocumentSubmit, facts: SubmitFacts): Outcome | undefined => {
  const { row } = facts.document
  if (row === undefined) return undefined
  // What a person took out stays out until it is explicitly added again; a sync that meets it does not add it.
  if (row.removed === "requested" && command.sync !== undefined && command.readmit !== true) return "removed"
  const same = row.raw === facts.raw && row.descriptor === facts.descriptor
  const newest = row.submittedVersion
  if (same && row.open?.version === newest) return "unchanged"
  if (same && row.live?.version === newest && row.removed === undefined) return "unchanged"
  if (same && row.parked?.version === newest) {
    const { code } = row.parked
    if (code === facts.live.chunker || code === facts.live.model) return "parked"
  }
  // As another kind of text the same bytes may have something to search, and to another version of the parsers.
  return same && row.removed === "skipped" && command.readmit !== true ? "skipped" : undefined
}

export const decideRemove = (command: DocumentRemove, document: Known): Decision => {
  if (isLate(document, command.orderKey)) {
    return { outcome: "superseded", events: [], keys: [], version: undefined }
  }
  const keys = [{ documentId: document.id, orderKey: command.orderKey }]
  const { row } = document
  const removals = removalOf(document, command.reason, command, [document.id])
  // A removal that a person asks for excludes the path, also where it was gone already.
  const excludes = command.reason === "requested" && row?.removed !== undefined && row.removed !== "requested"
  // What is erased is taken out, also where no version of it is found or may yet be.
  const erases = command.erase === true && row !== undefined
  const unsaid = erases && removals.length === 0 && row.removed === undefined
  const events = [
    ...(excludes || unsaid ? [removed(document.id, command.reason, command)] : removals),
    ...(erases ? [erased(document.id, asVersion(row.submittedVersion), command.commandId)] : [])
  ]
  return {
    outcome: events.length === 0 ? "unchanged" : "removed",
    events,
    keys,
    version: row === undefined || events.length === 0 ? undefined : asVersion(row.submittedVersion)
  }
}

/**
 * The removal of a document by what is no command about it alone: a source's, an approval's. Its order key stays what it
 * was: nothing newer was said of it.
 */
export const removalBesides = (
  known: Known,
  reason: "source" | "missing",
  cause: Omit<Cause, "orderKey">
): ReadonlyArray<NewEvent> =>
  removalOf(known, reason, { ...cause, orderKey: known.lastKey ?? "" }, [known.id])

/** Newest content without anything to search in it retires the document, and ends its move. */
export const skipping = (known: Known, cause: Cause): ReadonlyArray<NewEvent> => [
  ...leavingWith(known.takes, cause, [known.id]),
  removed(known.id, "skipped", cause)
]

/** A document and everything that may leave with it. */
export const chainOf = (known: Known | undefined): ReadonlyArray<Known> => {
  const chain: Array<Known> = []
  for (let one = known; one !== undefined && !chain.includes(one); one = one.takes?.from) chain.push(one)
  return chain
}
