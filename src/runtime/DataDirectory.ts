/**
 * Which directory holds everything, and the names of what is in it.
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import { Effect } from "effect"
import { ConfigInvalid, shown } from "./ConfigInvalid.ts"
import { dataDirectoryVariable } from "./SettingKeys.ts"

export interface DataDirectoryFiles {
  /** The events. */
  readonly log: string
  /** Bodies and vectors. */
  readonly content: string
  /** Held exclusively by the one writer. Only SQLite ever opens it. */
  readonly lock: string
  /** The writer's name, for people: a held lock database cannot be read. */
  readonly holder: string
  /** A witness of the log's head. */
  readonly head: string
  /** The version of the directory's format. */
  readonly format: string
  /** The settings. */
  readonly config: string
  /** State of generations: a fold of the log. */
  readonly state: string
  /** Generations of the embedded engine: may be deleted at any time. */
  readonly index: string
}

export interface DataDirectory {
  /** Absolute. It need not exist yet. */
  readonly path: string
  readonly origin: "flag" | "environment" | "dotenv" | "found" | "standard"
  readonly files: DataDirectoryFiles
}

export interface DataDirectoryInputs {
  /** Of `--data-dir`. */
  readonly flag?: string | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly dotenv: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  /** The user's home directory. */
  readonly home: string
}

/** The name that is looked for from the working directory upwards. */
export const localName = ".reprise"

export const filesIn = (
  directory: string,
  join: (...parts: ReadonlyArray<string>) => string
): DataDirectoryFiles => ({
  log: join(directory, "log.sqlite"),
  content: join(directory, "content.sqlite"),
  lock: join(directory, "lock.sqlite"),
  holder: join(directory, "holder"),
  head: join(directory, "head"),
  format: join(directory, "format"),
  config: join(directory, "reprise.json"),
  state: join(directory, "state"),
  index: join(directory, "index")
})

/** `--data-dir`, else `REPRISE_DATA_DIR`, else the nearest `.reprise/` upwards, else the XDG data folder. Writes nothing. */
export const resolveDataDirectory = Effect.fn("DataDirectory.resolve")(function* (
  inputs: DataDirectoryInputs
): Effect.fn.Return<DataDirectory, ConfigInvalid, FileSystem.FileSystem | Path.Path> {
  const fs = yield* FileSystem.FileSystem
  const { dirname, isAbsolute, join, resolve } = yield* Path.Path
  const isDirectory = (path: string) =>
    fs.stat(path).pipe(
      Effect.map(({ type }) => type === "Directory"),
      Effect.orElseSucceed(() => false)
    )
  const at = (path: string, origin: DataDirectory["origin"]): DataDirectory => ({
    path,
    origin,
    files: filesIn(path, join)
  })

  const variable = inputs.environment[dataDirectoryVariable] || undefined
  const dotenv = inputs.dotenv[dataDirectoryVariable] || undefined
  const named = [
    { given: inputs.flag, origin: "flag", where: "--data-dir" },
    { given: variable, origin: "environment", where: dataDirectoryVariable },
    { given: dotenv, origin: "dotenv", where: `.env, ${dataDirectoryVariable}` }
  ] as const
  for (const { given, origin, where } of named) {
    if (given === undefined) continue
    const path = resolve(inputs.cwd, given)
    const usable =
      given !== "" && !given.includes("\0") && ((yield* isDirectory(path)) || !(yield* exists(fs, path)))
    if (usable) return at(path, origin)
    return yield* new ConfigInvalid({
      problems: [
        {
          where,
          key: "",
          found: given === "" ? "empty" : `${shown(given, false)}, which is no directory`,
          expected: "a directory, or a path where one can be made",
          remedy: "Name another one."
        }
      ]
    })
  }

  for (let from = resolve(inputs.cwd); ; from = dirname(from)) {
    const local = join(from, localName)
    if (yield* isDirectory(local)) return at(local, "found")
    if (dirname(from) === from) break
  }
  const xdg = inputs.environment["XDG_DATA_HOME"] ?? ""
  // The XDG specification: a relative path there is to be ignored.
  const data = isAbsolute(xdg) ? xdg : join(inputs.home, ".local", "share")
  return at(join(data, "reprise"), "standard")
})

/** Also true of what cannot be looked at. */
const exists = (fs: FileSystem.FileSystem, path: string) =>
  fs.stat(path).pipe(
    Effect.as(true),
    Effect.catchAll((error) => Effect.succeed(!(error._tag === "SystemError" && error.reason === "NotFound")))
  )
