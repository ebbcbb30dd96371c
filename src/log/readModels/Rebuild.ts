/**
 * All inline read models together: folded event by event with the append, or rebuilt from the events alone.
 */
import type { Database } from "better-sqlite3"
import { documents } from "./Documents.ts"
import { generations } from "./Generations.ts"
import { jobs } from "./Jobs.ts"
import type { Folded, Projector } from "./Projector.ts"
import { sources } from "./Sources.ts"

/** In the order of folding: jobs look at what documents were before a parked job, so they come after. */
const projectors: ReadonlyArray<Projector> = [documents, jobs, sources, generations]

export const readModelTables: ReadonlyArray<string> = projectors.flatMap((projector) => projector.tables)

export const prepareReadModels = (db: Database): ((folded: Folded) => void) => {
  const folds = projectors.map((projector) => projector.prepare(db))
  return (folded) => {
    for (const fold of folds) fold(folded)
  }
}

/** Empties the read models of `db` and folds `events` into them, in one transaction. */
export const rebuildReadModels = (db: Database, events: Iterable<Folded>): void => {
  db.transaction(() => {
    for (const table of readModelTables) db.exec(`DELETE FROM ${table}`)
    const fold = prepareReadModels(db)
    for (const event of events) fold(event)
  })()
}
