/**
 * All inline read models together: folded event by event with the append, or rebuilt from the events alone.
 */
import type { Database } from "better-sqlite3"
import { Either } from "effect"
import { decodeEvent } from "../../../events/Upcasters.ts"
import { type EventRow, toStoredEvent } from "../EventRow.ts"
import { documents } from "./Documents.ts"
import { generations } from "./Generations.ts"
import { jobs } from "./Jobs.ts"
import { beginsDocument, type Folded, type Projector } from "./Projector.ts"
import { prepareRowOfDocument } from "./Rows.ts"
import { sources } from "./Sources.ts"
import { Tallies } from "./Tallies.ts"

/** In the order of folding: jobs look at what documents were before a parked job, so they come after. */
const projectors: ReadonlyArray<Projector> = [documents, jobs, sources, generations]

const keys = new Map(projectors.flatMap(({ tables }) => Object.entries(tables)))

export const readModelTables: ReadonlyArray<string> = [...keys.keys()]

export interface ReadModelFold {
  /**
   * Rows of documents that begin may be put off: nobody can know of them, and one table after another is written faster than
   * all of them for each event. Whoever looks at read models writes them first.
   */
  readonly fold: (folded: Folded) => void
  /** Writes what was put off. */
  readonly write: () => void
  /** Forgets what was put off: its events are rolled back. */
  readonly forget: () => void
  /** What is counted of the folded events: to be flushed before the commit. */
  readonly tallies: Tallies
}

/** `log` holds the events that are folded into `db`, each of them before its fold. */
export const prepareReadModels = (db: Database, log: Database = db): ReadModelFold => {
  const tallies = new Tallies(db)
  const folds = projectors.map((projector) => projector.prepare(db, tallies))
  const rowOfDocument = prepareRowOfDocument(log)
  let begun: Array<Folded> = []
  const write = () => {
    if (begun.length === 0) return
    const all = begun
    begun = []
    for (const fold of folds) for (const folded of all) fold(folded, folded.position)
  }
  const documentOf = ({ event, position }: Folded): number | undefined => {
    if (!("documentId" in event)) return undefined
    const row = rowOfDocument.get(event.documentId) ?? Number.POSITIVE_INFINITY
    // In a rebuild the log holds later submissions, too.
    return row <= position ? row : undefined
  }
  return {
    tallies,
    write,
    forget: () => {
      begun = []
    },
    fold: (folded) => {
      if (beginsDocument(folded)) {
        if (begun.push(folded) >= putOff) write()
        return
      }
      write()
      const document = documentOf(folded)
      for (const fold of folds) fold(folded, document)
    }
  }
}

/** So many are put off at most. */
const putOff = 64

/** Empties the read models of `db` and folds `events` of `log` into them, in one transaction. */
export const rebuildReadModels = (db: Database, events: Iterable<Folded>, log: Database = db): void => {
  db.transaction(() => {
    for (const table of readModelTables) db.exec(`DELETE FROM ${table}`)
    const { fold, tallies, write } = prepareReadModels(db, log)
    for (const event of events) {
      fold(event)
      if (tallies.mark >= tallied) tallies.flush()
    }
    write()
    tallies.flush()
  })()
}

/** So many changes of counts are kept in memory at most. */
const tallied = 10_000

/** The events of a log in (after, upTo] as the projectors take them, page by page. Throws where one is not known or damaged. */
export function* foldedEvents(db: Database, after: number, upTo: number): Generator<Folded> {
  const page = db.prepare<[number, number], EventRow>(
    "SELECT * FROM events WHERE position > ? AND position <= ? ORDER BY position LIMIT 1000"
  )
  let from = after
  while (true) {
    const rows = page.all(from, upTo)
    for (const row of rows) yield toFolded(row)
    const last = rows.at(-1)
    if (last === undefined) return
    from = last.position
  }
}

const toFolded = (row: EventRow): Folded => {
  const { data, metadata } = toStoredEvent(row)
  return {
    position: row.position,
    stream: row.stream,
    version: row.version,
    team: row.team,
    project: row.project,
    epoch: metadata.epoch,
    recordedAt: row.recorded_at,
    event: Either.getOrThrowWith(decodeEvent(row.type, row.schema_version, data), (cause) => cause)
  }
}

export const columnsOf = (db: Database, table: string): ReadonlyArray<string> =>
  db
    .prepare<[string], { name: string }>("SELECT name FROM pragma_table_info(?) ORDER BY cid")
    .all(table)
    .map(({ name }) => name)

/** The content of a read model's table, row by row in the order of its key, as text that is equal where the rows are. */
export function* tableRows(
  db: Database,
  table: string,
  columns: ReadonlyArray<string> = columnsOf(db, table)
): Generator<string> {
  for (const row of db
    .prepare<[], Record<string, unknown>>(
      `SELECT ${columns.join(", ")} FROM ${table} ORDER BY ${keys.get(table)}`
    )
    .iterate()) {
    yield JSON.stringify(row)
  }
}
