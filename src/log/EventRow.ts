/**
 * A row of `events` as it is stored, and the envelope that it becomes.
 */
import type { Database } from "better-sqlite3"
import { type EventEncoded, isEventType, schemaVersions } from "../../events/Catalogue.ts"
import type { Metadata, StoredEvent } from "../../events/Envelope.ts"
import { Digest, type EventId, type Position, type Sequence } from "../../events/Ids.ts"
import type { ChainedRow } from "./HashChain.ts"
import type { EncodedAppend } from "./WriteGroup.ts"

/** The columns as the driver answers them. They were checked when they were written, and the chain guards them since. */
export interface EventRow {
  readonly position: Position
  readonly id: EventId
  readonly stream: string
  readonly version: number
  readonly type: string
  readonly schema_version: number
  readonly team: string
  readonly project: string
  readonly sequence: Sequence
  readonly data: string
  readonly metadata: string
  readonly recorded_at: number
  readonly hash: Buffer
}

/** Throws a `SyntaxError` where the stored JSON is damaged. */
export const toStoredEvent = (row: EventRow): StoredEvent => {
  const metadata: Metadata = JSON.parse(row.metadata)
  const data: unknown = JSON.parse(row.data)
  return {
    position: row.position,
    id: row.id,
    stream: row.stream,
    version: row.version,
    type: row.type,
    schemaVersion: row.schema_version,
    team: row.team,
    project: row.project,
    sequence: row.sequence,
    data,
    metadata,
    recordedAt: row.recorded_at,
    hash: Digest.make(row.hash.toString("hex"), { disableValidation: true })
  }
}

/** The columns that an event's schema decides. Throws where it is none of the catalogue. */
export const dataColumns = ({ data, event }: EncodedAppend["events"][number]) => {
  const { _tag: type } = event
  if (!isEventType(type)) throw new Error(`${String(type)} is no event of the catalogue.`)
  return { type, schemaVersion: schemaVersions[type], data: data ?? dataText(event) }
}

/** An event's fields as they are stored. */
export const dataText = ({ _tag, ...fields }: EventEncoded): string => JSON.stringify(fields)

/** Who wrote an event and what led to it, as stored. */
export const metadataText = (
  { actor, causationId, correlationId }: Pick<EncodedAppend, "actor" | "causationId" | "correlationId">,
  {
    appendEnd,
    epoch,
    writer
  }: { readonly epoch: number; readonly writer: number; readonly appendEnd: number }
): string => {
  // Put together from its fields: an object made for its text takes three times as long.
  const causation = causationId === undefined ? "" : `,"causationId":${JSON.stringify(causationId)}`
  return `{"correlationId":${JSON.stringify(correlationId)}${causation},"actor":${JSON.stringify(actor)},"epoch":${epoch},"writer":${writer},"appendEnd":${appendEnd}}`
}

/**
 * The one statement that writes a row, prepared; `hash` is the row's place in the chain. Answers whether it was written: a
 * row whose id, place in its stream or position is taken is not.
 */
export const prepareInsert = (log: Database): ((row: ChainedRow, hash: Buffer) => boolean) => {
  const insert = log.prepare(
    "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
  )
  return (row, hash) =>
    insert.run(
      row.position,
      row.id,
      row.stream,
      row.version,
      row.type,
      row.schemaVersion,
      row.team,
      row.project,
      row.sequence,
      row.data,
      row.metadata,
      row.recordedAt,
      hash
    ).changes === 1
}
