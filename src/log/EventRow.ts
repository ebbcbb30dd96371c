/**
 * A row of `events` as it is stored, and the envelope that it becomes.
 */
import type { Metadata, StoredEvent } from "../../events/Envelope.ts"
import { Digest, type EventId, type Position, type Sequence } from "../../events/Ids.ts"

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
