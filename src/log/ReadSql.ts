/**
 * Statements on one read-only connection of Effect's SQL client.
 *
 * The client looks for a transaction, opens a span and a scope around each statement: some 150 steps of a fiber, 24 µs
 * where SQLite needs 5, and the life of a document takes eight. So the connection is reserved for as long as it is open,
 * statements go straight to it, and a template that holds values alone is put together once.
 */
import { layer as reactivity } from "@effect/experimental/Reactivity"
import type { SqlClient } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import { type Fragment, FragmentId, isFragment } from "@effect/sql/Statement"
import { make } from "@effect/sql-sqlite-node/SqliteClient"
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

/** Never waits for a lock. Dies where the file cannot be opened, fails where it is no database. */
export const openReadSql = (path: string): Effect.Effect<ReadSql, SqlError, Scope.Scope> =>
  Effect.gen(function* () {
    const client = yield* make({
      filename: path,
      readonly: true,
      disableWAL: true,
      prepareCacheTTL: "1 hour"
    })
    const connection = yield* client.reserve
    const rows: Run = (text, values) => connection.execute(text, values, undefined)
    const lists: Run = (text, values) => connection.executeValues(text, values)
    const sql = Object.assign(
      <Row extends object>(strings: TemplateStringsArray, ...parts: ReadonlyArray<SqlPart>) =>
        new Reading<Row>(rows, client, strings, parts),
      {
        lists: <Row extends ReadonlyArray<unknown>>(
          strings: TemplateStringsArray,
          ...parts: ReadonlyArray<SqlPart>
        ) => new Reading<Row>(lists, client, strings, parts),
        literal: client.literal,
        and: client.and,
        in: client.in
      }
    )
    yield* sql`PRAGMA busy_timeout = 0`
    // Of a file that is no database this is the first thing that is read.
    yield* sql`PRAGMA schema_version`
    return sql
  }).pipe(Effect.provide(reactivity))

/** Runs a text with its values on the connection. */
type Run = (
  text: string,
  values: ReadonlyArray<unknown>
) => ReturnType<Connection["executeValues" | "execute"]>

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
  readonly #run: Run
  readonly #client: SqlClient
  readonly #strings: TemplateStringsArray
  readonly #parts: ReadonlyArray<SqlPart>

  constructor(run: Run, client: SqlClient, strings: TemplateStringsArray, parts: ReadonlyArray<SqlPart>) {
    super()
    this.#run = run
    this.#client = client
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
    return this.#client(this.#strings, ...this.#parts)
  }

  commit() {
    const rows = this.#parts.every(isBound)
      ? this.#run(textOf(this.#strings), this.#parts)
      : this.#run(...this.#composed.compile())
    // The cast stands where a row becomes what the statement says of it.
    return rows as Effect.Effect<ReadonlyArray<Row>, SqlError>
  }
}
