/**
 * Statements on one read-only connection, composed by Effect's SQL templates and run at once.
 *
 * Effect's client looks for a transaction, opens a span and a scope around each statement and keeps prepared ones in a cache of
 * its own: 150 steps of a fiber, and a fifth of that on a connection that is reserved, where the life of a document takes
 * eight statements of 5 µs. Here a statement is one step, and a template that holds values alone is put together once.
 */
import type { SqlClient } from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import { type Fragment, FragmentId, isFragment, make, makeCompilerSqlite } from "@effect/sql/Statement"
import Sqlite from "better-sqlite3"
import { Effect, Effectable, type Scope } from "effect"

/** Answers all its rows: bounded by what it asks for. Stands in a template as a piece of it, too. */
export interface SqlStatement<Row> extends Effect.Effect<ReadonlyArray<Row>, SqlError>, Fragment {}

/** What stands in a template: a value, or SQL with values of its own. */
export type SqlPart = string | number | bigint | Uint8Array | null | Fragment

export interface ReadSql extends Pick<SqlClient, "literal" | "and" | "in"> {
  <Row extends object>(strings: TemplateStringsArray, ...parts: ReadonlyArray<SqlPart>): SqlStatement<Row>
  /** Each row as the list of its columns: half of the time, where there are many. */
  readonly lists: <Row extends ReadonlyArray<unknown>>(
    strings: TemplateStringsArray,
    ...parts: ReadonlyArray<SqlPart>
  ) => Effect.Effect<ReadonlyArray<Row>, SqlError>
}

/** Never waits for a lock. Dies where the file cannot be opened, or is no database. */
export const openReadSql = (path: string): Effect.Effect<ReadSql, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new Sqlite(path, { readonly: true, timeout: 0 })),
      (db) => Effect.sync(() => db.close())
    ),
    (db) => {
      db.pragma("schema_version")
      return sqlOn(db)
    }
  )

const sqlOn = (db: Sqlite.Database): ReadSql => {
  const rows = new Prepared(db, false)
  const lists = new Prepared(db, true)
  return Object.assign(
    <Row extends object>(strings: TemplateStringsArray, ...parts: ReadonlyArray<SqlPart>) =>
      new Reading<Row>(rows, strings, parts),
    {
      lists: <Row extends ReadonlyArray<unknown>>(
        strings: TemplateStringsArray,
        ...parts: ReadonlyArray<SqlPart>
      ) => new Reading<Row>(lists, strings, parts),
      literal: composed.literal,
      and: composed.and,
      in: composed.in
    }
  )
}

/** Puts templates together, and asks nobody. */
const composed = make(
  Effect.dieMessage("What is composed here runs on a connection of its own."),
  makeCompilerSqlite(),
  [],
  undefined
)

type Bound = Exclude<SqlPart, Fragment>
const isBound = (part: SqlPart): part is Bound => !isFragment(part)

/** Texts of templates that hold values alone. */
const texts = new WeakMap<TemplateStringsArray, string>()

const textOf = (strings: TemplateStringsArray): string => {
  const known = texts.get(strings)
  if (known !== undefined) return known
  const text = strings.join("?").trim()
  texts.set(strings, text)
  return text
}

class Reading<Row> extends Effectable.Class<ReadonlyArray<Row>, SqlError> implements SqlStatement<Row> {
  readonly #prepared: Prepared
  readonly #strings: TemplateStringsArray
  readonly #parts: ReadonlyArray<SqlPart>

  constructor(prepared: Prepared, strings: TemplateStringsArray, parts: ReadonlyArray<SqlPart>) {
    super()
    this.#prepared = prepared
    this.#strings = strings
    this.#parts = parts
  }

  get [FragmentId]() {
    return this.#composed[FragmentId]
  }
  /** Asked for where it stands in another one. */
  get segments() {
    return this.#composed.segments
  }
  get #composed() {
    return composed(this.#strings, ...this.#parts)
  }

  commit() {
    try {
      const rows = this.#parts.every(isBound)
        ? this.#prepared.all(textOf(this.#strings), this.#parts)
        : this.#prepared.all(...this.#composed.compile())
      // The cast stands where a row becomes what the statement says of it.
      return Effect.succeed(rows as ReadonlyArray<Row>)
    } catch (cause) {
      return Effect.fail(new SqlError({ cause, message: "Failed to execute statement" }))
    }
  }
}

/** The statements of a connection by their text: the program has so many, and no more. */
class Prepared {
  readonly #db: Sqlite.Database
  readonly #asLists: boolean
  readonly #known = new Map<string, Sqlite.Statement<Array<unknown>, unknown>>()

  constructor(db: Sqlite.Database, asLists: boolean) {
    this.#db = db
    this.#asLists = asLists
  }

  all(text: string, values: ReadonlyArray<unknown>): ReadonlyArray<unknown> {
    const known = this.#known.get(text) ?? this.#prepare(text)
    return known.all(...values)
  }

  #prepare(text: string) {
    const made = this.#db.prepare<Array<unknown>, unknown>(text)
    if (this.#asLists) made.raw(true)
    this.#known.set(text, made)
    return made
  }
}
