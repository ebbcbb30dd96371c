/**
 * Forward-only, numbered migrations. Each is applied in one transaction together with its number, so that a crash
 * leaves the database before or after it, never within.
 */
import type { Database } from "better-sqlite3"
import type { FailpointsService } from "../../faults/Failpoints.ts"
import { contentTables, logTables } from "./0001_events.ts"
import { narrowReadModels } from "./0002_narrow_read_models.ts"
import { foundByArrival } from "./0003_found_by_arrival.ts"

/** SQL by number, beginning with 1, without gaps. A released one is never edited. */
export type Migrations = { readonly [number: number]: string }

export const logMigrations: Migrations = { 1: logTables, 2: narrowReadModels, 3: foundByArrival }
export const contentMigrations: Migrations = { 1: contentTables }

/** The database was written by a newer version: nothing is touched. */
export class SchemaNewer extends Error {
  override readonly name = "SchemaNewer"
  readonly found: number
  readonly known: number
  constructor(found: number, known: number) {
    super(`The database is at schema ${found}; this version knows ${known}.`)
    this.found = found
    this.known = known
  }
}

export const newest = (migrations: Migrations): number => Math.max(...Object.keys(migrations).map(Number))

export const schemaOf = (db: Database): number => Number(db.pragma("user_version", { simple: true }))

/** Applies what is missing, in order. `snapshot` is called before the first one that changes an existing database. */
export const migrate = (
  db: Database,
  migrations: Migrations,
  failpoints: FailpointsService,
  snapshot: (from: number) => void
): void => {
  const from = schemaOf(db)
  const to = newest(migrations)
  if (from > to) throw new SchemaNewer(from, to)
  if (from > 0 && from < to) snapshot(from)
  for (let number = from + 1; number <= to; number++) {
    failpoints.hit("migrate.step.before")
    db.exec("BEGIN IMMEDIATE")
    try {
      db.exec(migrations[number] ?? "")
      db.pragma(`user_version = ${number}`)
      db.exec("COMMIT")
    } catch (cause) {
      if (db.inTransaction) db.exec("ROLLBACK")
      throw cause
    }
    failpoints.hit("migrate.step.after")
  }
}
