/**
 * Statements on one read-only connection of Effect's SQL client.
 *
 * The client looks for a transaction, opens a span and a scope around each statement: some 150 steps of a fiber, 24 µs
 * where SQLite needs 5, and the life of a document takes eight. So the connection is reserved for as long as it is open,
 * and statements go straight to it: 7 µs.
 */
import { layer as reactivity } from "@effect/experimental/Reactivity"
import type { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { type Fragment, FragmentId } from "@effect/sql/Statement"
import { make } from "@effect/sql-sqlite-node/SqliteClient"
import { Effect, type Scope } from "effect"

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

/** Never waits for a lock. Dies where the file cannot be opened. */
export const openReadSql = (path: string): Effect.Effect<ReadSql, SqlError, Scope.Scope> =>
  Effect.gen(function* () {
    const client = yield* make({ filename: path, readonly: true, prepareCacheTTL: "1 hour" })
    const connection = yield* client.reserve
    const template = <Row extends object>(
      strings: TemplateStringsArray,
      ...parts: ReadonlyArray<SqlPart>
    ): SqlStatement<Row> => {
      const statement = client<Row>(strings, ...parts)
      const rows = Effect.suspend(() => connection.execute(...statement.compile(), undefined))
      return Object.assign(rows, { [FragmentId]: statement[FragmentId], segments: statement.segments })
    }
    const lists = <Row extends ReadonlyArray<unknown>>(
      strings: TemplateStringsArray,
      ...parts: ReadonlyArray<SqlPart>
    ) => {
      const statement = client<Row>(strings, ...parts)
      const rows = Effect.suspend(() => connection.executeValues(...statement.compile()))
      // The cast stands where a row becomes what the statement says of it.
      return rows as Effect.Effect<ReadonlyArray<Row>, SqlError>
    }
    const sql = Object.assign(template, { lists, literal: client.literal, and: client.and, in: client.in })
    yield* sql`PRAGMA busy_timeout = 0`
    return sql
  }).pipe(Effect.provide(reactivity))
