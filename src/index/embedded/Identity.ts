/**
 * What a file says that it belongs to. A file of another log, epoch, generation, project or format is foreign, whatever
 * its name.
 */
import type { GenerationRef } from "../Index.ts"
import { damaged, guarded, mismatch, type OpenFile, prepareQuery, textOf } from "./Database.ts"

/** Rises with every change of the tables' shape: an older file is foreign, and is built anew. */
const formatVersion = 3

/** Columns of a table's only row. */
export const identityColumns = `
  one INTEGER PRIMARY KEY CHECK (one = 1),
  format INTEGER NOT NULL,
  log_id TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  generation TEXT NOT NULL,
  dimensions INTEGER NOT NULL`

/** The values of {@link identityColumns}. */
export const identityOf = (ref: GenerationRef): ReadonlyArray<string | number> => [
  1,
  formatVersion,
  ref.logId,
  ref.epoch,
  ref.generation,
  ref.spec.dimensions
]

/** Whether the transaction that lays the file out was committed. */
export const isLaidOut = (file: OpenFile, table: string): boolean =>
  guarded(
    file.path,
    () => prepareQuery(file.connection, "SELECT 1 FROM sqlite_schema WHERE name = ?").get(table) !== undefined
  )

/** Fails where the table's only row does not begin with `expected`. */
export const checkIdentity = (
  file: OpenFile,
  table: string,
  expected: ReadonlyArray<string | number>
): void => {
  const row = guarded(file.path, () => prepareQuery(file.connection, `SELECT * FROM ${table}`).get())
  if (row === undefined) throw damaged(file.path, "It does not say what it belongs to.")
  const at = expected.findIndex((value, index) => value !== row[index])
  if (at >= 0)
    throw mismatch("foreign", `${file.path} belongs to ${textOf(row[at])}, not to ${textOf(expected[at])}.`)
}
