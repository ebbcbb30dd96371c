/**
 * A projector builds rows from events and causes nothing else, so it may be replayed. It runs synchronously inside the
 * transaction of the append; what it sees is the event and its own tables, never a clock. What is counted it leaves to the tallies.
 */
import type { Database } from "better-sqlite3"
import type { EventEncoded } from "../../../events/Catalogue.ts"
import { documentStream } from "../../../events/Document.ts"
import { DocumentId } from "../../../events/Ids.ts"
import type { Tallies } from "./Tallies.ts"

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

/** Whether this is a document's first submission: no row can know of it, and nobody has to look. */
export const beginsDocument = ({ event, stream, version }: Folded): boolean =>
  version === 1 &&
  event._tag === "DocumentSubmitted" &&
  stream === documentStream(DocumentId.make(event.documentId, { disableValidation: true }))

export interface Projector {
  /** Its tables, those of its tallies among them, each with its key: by it rows are compared. Emptied before a rebuild. */
  readonly tables: { readonly [table: string]: string }
  /**
   * Prepares its statements; the fold is called once for every event, in order of position. `document`: the row of the
   * document that the event names, if that was submitted by then.
   */
  readonly prepare: (db: Database, tallies: Tallies) => (folded: Folded, document: number | undefined) => void
}
