/**
 * Read-only connections to `log.sqlite` and `content.sqlite` for Effect code. They take no lock and work beside a writer.
 *
 * Each database has a tag of its own: merging two layers of the same tag would silently keep the last.
 */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { layer as reactivity } from "@effect/experimental/Reactivity"
import { type SqlClient, TransactionConnection } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { make } from "@effect/sql-sqlite-node/SqliteClient"
import { Context, Effect, Layer } from "effect"
import { LogFailed } from "./Log.ts"
import { fileNames, readable } from "./LogDatabase.ts"

export class LogReadConnection extends Context.Tag("reprise/log/LogReadConnection")<
  LogReadConnection,
  SqlClient
>() {}

export class ContentReadConnection extends Context.Tag("reprise/log/ContentReadConnection")<
  ContentReadConnection,
  SqlClient
>() {}

/** Both connections for a data directory. Reads on the main thread never wait for a lock. */
export const layer = (directory: string): Layer.Layer<LogReadConnection | ContentReadConnection, LogFailed> =>
  Layer.merge(
    Layer.scoped(LogReadConnection, open(join(directory, fileNames.log))),
    Layer.scoped(ContentReadConnection, open(join(directory, fileNames.content)))
  )

const open = Effect.fnUntraced(function* (path: string) {
  const failed = (cause: unknown) => new LogFailed({ operation: `open ${path} for reading`, cause })
  if (!existsSync(path)) {
    return yield* failed("There is no such file. Create a data directory with: reprise init")
  }
  const source = yield* Effect.acquireRelease(
    Effect.try({ try: () => readable(path), catch: failed }),
    ({ release }) => Effect.sync(release)
  )
  const client = yield* make({ filename: source.path, readonly: true, prepareCacheTTL: "1 hour" }).pipe(
    Effect.provide(reactivity),
    Effect.catchAllDefect(failed)
  )
  yield* reading(client`PRAGMA busy_timeout = 0`)
  return client
})

/**
 * Runs statements on their own connection, whatever transaction the caller is in (the open transaction is one context tag
 * shared by all clients), without a span each, and with the room's error.
 */
export const reading = <A>(statements: Effect.Effect<A, SqlError>): Effect.Effect<A, LogFailed> =>
  statements.pipe(
    Effect.mapInputContext((context: Context.Context<never>) => Context.omit(TransactionConnection)(context)),
    Effect.withTracerEnabled(false),
    Effect.mapError((cause) => new LogFailed({ operation: "read", cause }))
  )
