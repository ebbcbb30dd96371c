/**
 * From a command's common options to what it works on: configuration, then a reader or the writer, opened for as long as
 * the command runs. What a command does not need is not loaded.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { FileSystem, Path } from "@effect/platform"
import { Effect, Logger, Option, type Scope } from "effect"
import { type Configuration, loadConfig, readDotenv, settingsDigest } from "../runtime/Config.ts"
import type { ConfigInvalid } from "../runtime/ConfigInvalid.ts"
import type { ServerDiffers, ServerGone } from "../runtime/control/Protocol.ts"
import type { RemoteWriter } from "../runtime/control/RemoteWriter.ts"
import { socketOf } from "../runtime/control/SocketPlace.ts"
import { type DataDirectory, filesIn, resolveDataDirectory } from "../runtime/DataDirectory.ts"
import { nativeModule } from "../runtime/NativeModule.ts"
import type { Outage } from "../runtime/Outage.ts"
import {
  Quotes,
  Reader,
  type RepriseQuotes,
  type RepriseReader,
  type RepriseWriter,
  Writer
} from "../runtime/Reprise.ts"
import { writerThreads } from "../runtime/WriterThreads.ts"
import { startEarly } from "../threads/Thread.ts"
import type { Common } from "./Definition.ts"
import { type CliError, NothingThere } from "./Exit.ts"
import { Io } from "./Io.ts"
import { logLevelOf } from "./Logging.ts"
import { note } from "./Output.ts"

/** Values of flags that are settings, by the setting's name. */
export type SettingFlags = Readonly<Record<string, string | number | boolean | undefined>>

export const configuration = (
  common: Common,
  flags: SettingFlags = {}
): Effect.Effect<Configuration, ConfigInvalid, Io | FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const { cwd, environment, home } = yield* Io
    const dotenv = yield* readDotenv(cwd)
    const directory = yield* resolveDataDirectory({
      flag: common.dataDir,
      environment,
      dotenv: dotenv.variables,
      cwd,
      home
    })
    return yield* loadConfig({ directory, environment, dotenv, flags })
  })

/** As much as `log.level` says, wherever it is set; a command says no more than warnings where nobody did. */
const logged =
  ({ entries, settings }: Configuration) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    entries.some(({ key, origin }) => key === "log.level" && origin !== "default")
      ? Logger.withMinimumLogLevel(effect, logLevelOf(settings.log.level))
      : effect

/** Runs `use` with a reader of the data directory. Works beside a writer in another process. */
export const withReader = <A, R>(
  common: Common,
  options: {
    /** Whether it asks for vectors, by the settings. */
    readonly embeds: false | ((loaded: Configuration) => boolean)
    /** The answer itself says that the log is behind its witnesses. */
    readonly answerNotes?: boolean
  },
  use: (reader: RepriseReader, configuration: Configuration) => Effect.Effect<A, CliError, R>
): Effect.Effect<A, CliError, R | Io | FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const loaded = yield* configuration(common)
    const { files, path } = loaded.directory
    if (!existsSync(files.log)) return yield* new NothingThere({ directory: path })
    yield* nativeModule
    const OpenReading = yield* Effect.promise(() => import("../runtime/OpenReading.ts"))
    const embeds = options.embeds !== false && options.embeds(loaded) ? "now" : false
    return yield* Effect.gen(function* () {
      const reader = yield* Reader
      const behind = options.answerNotes === true ? undefined : yield* reader.behindWitness
      if (behind !== undefined) yield* note(behind.message)
      return yield* use(reader, loaded)
    }).pipe(Effect.provide(OpenReading.layer({ configuration: loaded, embeds })), logged(loaded))
  })

export interface WriterOptions {
  readonly flags?: SettingFlags
  /** What the process is, for whoever finds the directory locked. */
  readonly command: string
  readonly acceptRollback?: boolean
  /** Files will be looked at. */
  readonly looks?: boolean
  /** Makes the data directory where there is none; whoever works on what is there has most likely named the wrong one. */
  readonly makes?: boolean
}

/** A writer here or in a server. */
export type AnyWriter = RepriseWriter<ServerGone>

/**
 * Runs `use` with the one writer of the data directory. Where a server holds it, the server does the work, under its own
 * settings.
 */
export const withWriter = <A, R>(
  common: Common,
  options: WriterOptions,
  use: (
    writer: AnyWriter,
    reader: RepriseReader,
    configuration: Configuration
  ) => Effect.Effect<A, CliError, R>
): Effect.Effect<A, CliError, R | Io | FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const loaded = yield* configuration(common, options.flags)
    const { files, origin, path } = loaded.directory
    const isThere = existsSync(files.log)
    if (!isThere && options.makes !== true) return yield* new NothingThere({ directory: path })
    yield* nativeModule
    const server = options.acceptRollback === true ? undefined : yield* serverOf(loaded)
    if (server !== undefined) {
      if (!server.sameSettings)
        yield* note(
          `The server (process ${server.pid}) does this, with its own settings: see reprise config.`
        )
      return yield* withReader(common, { embeds: false }, (reader) => use(server.writer, reader, loaded))
    }
    // Whoever expected a directory beside the documents learns of it before anything is in the common one.
    if (origin === "standard" && !isThere)
      yield* note(
        `The data directory is ${path}: none was named, and no folder from here upwards has a .reprise. For one in this folder: reprise init`
      )
    yield* startEarly(writerThreads({ looks: options.looks ?? false }))
    const Embedded = yield* Effect.promise(() => import("../runtime/Embedded.ts"))
    const { acceptRollback, command } = options
    const layer = Embedded.layer({
      configuration: loaded,
      command,
      ...(acceptRollback !== undefined && { acceptRollback })
    })
    return yield* Effect.gen(function* () {
      return yield* use(yield* Writer, yield* Reader, loaded)
    }).pipe(Effect.provide(layer), logged(loaded))
  }).pipe(Effect.scoped)

/** The server that holds the data directory, for as long as the scope lives. What speaks to it is loaded if there is one. */
export const serverOf = (
  loaded: Configuration
): Effect.Effect<RemoteWriter | undefined, ServerGone | ServerDiffers, Scope.Scope> =>
  Effect.gen(function* () {
    const { path } = loaded.directory
    if (socketOf(path) === undefined) return undefined
    const { connect } = yield* Effect.promise(() => import("../runtime/control/RemoteWriter.ts"))
    return Option.getOrUndefined(yield* connect(path, settingsDigest(loaded)))
  })

/** Work that embeds, given up where the provider is away: what is under way is kept, and goes on next time. */
export const orOutage = <A, E extends CliError, R>(
  writer: AnyWriter,
  work: Effect.Effect<A, E, R>
): Effect.Effect<A, CliError, R> => Effect.raceFirst(work, Effect.flip(writer.outage))

/** Work that embeds nothing, given up where the index is away: it is done, and cannot be seen yet. */
export const orIndexAway = <A, E extends CliError, R>(
  writer: AnyWriter,
  work: Effect.Effect<A, E, R>
): Effect.Effect<A, CliError, R> =>
  Effect.raceFirst(
    work,
    Effect.flatMap(writer.outage, (outage) => (concernsIndex(outage) ? Effect.fail(outage) : Effect.never))
  )

const concernsIndex = (outage: Outage): boolean =>
  outage._tag === "IndexAway" ||
  outage._tag === "IndexStopped" ||
  (outage._tag === "LanePaused" && outage.lane === "index")

/**
 * Runs `use` with what writes would do and cost. No lock is taken, and nothing is made where there is no data directory
 * yet: an empty one that is gone afterwards stands in for it.
 */
export const withQuotes = <A, R>(
  common: Common,
  flags: SettingFlags,
  use: (quotes: RepriseQuotes) => Effect.Effect<A, CliError, R>
): Effect.Effect<A, CliError, R | Io | FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const loaded = yield* configuration(common, flags)
    yield* nativeModule
    const Quoting = yield* Effect.promise(() => import("../runtime/Quoting.ts"))
    const directory = existsSync(loaded.directory.files.log) ? loaded.directory : yield* emptyDirectory
    return yield* Effect.flatMap(Quotes, use).pipe(
      Effect.provide(Quoting.layer({ settings: loaded.settings, directory })),
      logged(loaded)
    )
  }).pipe(Effect.scoped)

const emptyDirectory = Effect.gen(function* () {
  const path = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "reprise-quote-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  const { initialise } = yield* Effect.promise(() => import("../runtime/Initialise.ts"))
  const directory: DataDirectory = { path, origin: "standard", files: filesIn(path, join) }
  yield* initialise(directory)
  return directory
})
