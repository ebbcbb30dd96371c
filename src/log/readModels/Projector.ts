/**
 * A projector builds rows from events and causes nothing else, so it may be replayed. It runs synchronously inside the
 * transaction of the append; what it sees is the event and its own tables, never a clock.
 */
import type { Database } from "better-sqlite3"
import type { EventEncoded } from "../../../events/Catalogue.ts"

/** An event as the projectors take it, at today's schema version. */
export interface Folded {
  readonly position: number
  readonly stream: string
  readonly version: number
  readonly team: string
  readonly project: string
  readonly epoch: number
  /** For people (how long something has been waiting); decides nothing. */
  readonly recordedAt: number
  readonly event: EventEncoded
}

export interface Projector {
  /** Emptied before a rebuild. Tables that triggers keep are among them. */
  readonly tables: ReadonlyArray<string>
  /** Prepares its statements; the fold is called once for every event, in order of position. */
  readonly prepare: (db: Database) => (folded: Folded) => void
}
