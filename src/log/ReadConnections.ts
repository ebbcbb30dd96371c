/**
 * Read-only connections to `log.sqlite` and `content.sqlite` for Effect code. They take no lock and work beside a writer.
 *
 * Each database has a tag of its own: merging two layers of the same tag would silently keep the last.
 */
import { existsSync } from "node:fs"
import { join } from "node:path"
import type { SqlError } from "@effect/sql/SqlError"
import { Context, Effect, Layer } from "effect"
import { DirectoryInvalid } from "./DirectoryFormat.ts"
import { LogFailed } from "./Log.ts"
import { fileNames, readable } from "./LogDatabase.ts"
import { logMigrations, newest } from "./migrations/Migrations.ts"
import { openReadSql, type ReadSql } from "./ReadSql.ts"

export class LogReadConnection extends Context.Tag("reprise/log/LogReadConnection")<
  LogReadConnection,
  ReadSql
>() {}

export class ContentReadConnection extends Context.Tag("reprise/log/ContentReadConnection")<
  ContentReadConnection,
  ReadSql
>() {}

/** Both connections for a data directory. Reads on the main thread never wait for a lock. */
export const layer = (
  directory: string
): Layer.Layer<LogReadConnection | ContentReadConnection, LogFailed | DirectoryInvalid> =>
  Layer.scopedContext(
    Effect.gen(function* () {
      const log = yield* open(join(directory, fileNames.log))
      yield* upToDate(directory, log)
      const content = yield* open(join(directory, fileNames.content))
      return Context.make(LogReadConnection, log).pipe(Context.add(ContentReadConnection, content))
    })
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
  return yield* openReadSql(source.path).pipe(
    Effect.mapError(({ cause }) => failed(cause)),
    Effect.catchAllDefect(failed)
  )
})

/** An older schema is brought up to date by whoever writes; what asks the read models knows the newest alone. */
const upToDate = Effect.fnUntraced(function* (directory: string, log: ReadSql) {
  const [row] = yield* reading(log<{ readonly user_version: number }>`PRAGMA user_version`)
  if ((row?.user_version ?? 0) < newest(logMigrations)) {
    return yield* new DirectoryInvalid({
      directory,
      detail:
        "it was written by an older version and not opened for writing since. Run a command that writes, which brings it up to date: reprise sync"
    })
  }
})

/** Statements with the room's error. */
export const reading = <A>(statements: Effect.Effect<A, SqlError>): Effect.Effect<A, LogFailed> =>
  Effect.mapError(statements, (cause) => new LogFailed({ operation: "read", cause }))
