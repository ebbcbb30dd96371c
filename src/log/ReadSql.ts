/**
 * Statements on one read-only connection, as effects. A statement is one step of its fiber: prepared once, run at once.
 *
 * Pieces nest: what is interpolated into a template is a value, or a piece of SQL with values of its own.
 */
import Sqlite from "better-sqlite3"
import { Effect, type Scope } from "effect"
import type { UnknownException } from "effect/Cause"

export type SqlValue = string | number | bigint | Uint8Array | null

/** SQL with a `?` for each of its values. */
export interface SqlPiece {
  readonly text: string
  readonly values: ReadonlyArray<SqlValue>
}

/** Answers all its rows: bounded by what it asks for. */
export interface SqlStatement<Row> extends Effect.Effect<ReadonlyArray<Row>, UnknownException>, SqlPiece {}

export interface ReadSql {
  <Row>(strings: TemplateStringsArray, ...parts: ReadonlyArray<SqlValue | SqlPiece>): SqlStatement<Row>
  /** As it stands, without values. */
  readonly literal: (text: string) => SqlPiece
  readonly and: (pieces: ReadonlyArray<SqlPiece>) => SqlPiece
  readonly in: (column: string, values: ReadonlyArray<SqlValue>) => SqlPiece
}

/** Prepared statements that are kept: there are some dozens, and those with lists have a form for each length. */
const mostKept = 256

/** Never waits for a lock. Throws where the file cannot be opened. */
export const openReadSql = (path: string): Effect.Effect<ReadSql, UnknownException, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.try(() => new Sqlite(path, { readonly: true, fileMustExist: true, timeout: 0 })),
      (db) => Effect.sync(() => db.close())
    ),
    readSql
  )

const readSql = (db: Sqlite.Database): ReadSql => {
  const kept = new Map<string, Sqlite.Statement<Array<SqlValue>>>()
  const prepared = (text: string) => {
    const known = kept.get(text)
    if (known !== undefined) return known
    const statement = db.prepare<Array<SqlValue>>(text)
    if (kept.size >= mostKept) kept.clear()
    kept.set(text, statement)
    return statement
  }
  const template = <Row>(
    strings: TemplateStringsArray,
    ...parts: ReadonlyArray<SqlValue | SqlPiece>
  ): SqlStatement<Row> => {
    const piece = joined(strings, parts)
    // The row's type is what the statement's writer says: SQLite knows none.
    const rows = Effect.try(() => prepared(piece.text).all(...piece.values) as ReadonlyArray<Row>)
    return Object.assign(rows, piece)
  }
  return Object.assign(template, {
    literal: (text: string): SqlPiece => ({ text, values: [] }),
    and: (pieces: ReadonlyArray<SqlPiece>): SqlPiece => ({
      text: pieces.map(({ text }) => `(${text})`).join(" AND "),
      values: pieces.flatMap(({ values }) => values)
    }),
    in: (column: string, values: ReadonlyArray<SqlValue>): SqlPiece => ({
      text: `${column} IN (${values.map(() => "?").join(", ")})`,
      values
    })
  })
}

const isPiece = (part: SqlValue | SqlPiece): part is SqlPiece =>
  typeof part === "object" && part !== null && "text" in part

const joined = (strings: TemplateStringsArray, parts: ReadonlyArray<SqlValue | SqlPiece>): SqlPiece => {
  let text = strings[0] ?? ""
  const values: Array<SqlValue> = []
  for (const [at, part] of parts.entries()) {
    if (isPiece(part)) {
      text += part.text
      values.push(...part.values)
    } else {
      text += "?"
      values.push(part)
    }
    text += strings[at + 1] ?? ""
  }
  return { text, values }
}
