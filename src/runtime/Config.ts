/**
 * The configuration in force: defaults, overridden by `reprise.json`, a `.env` file, `REPRISE_*` variables and flags, in
 * this order, decoded by one schema. Every value knows where it came from.
 */
import { parseEnv } from "node:util"
import * as FileSystem from "@effect/platform/FileSystem"
import { Array as Arr, Context, Effect, Schema } from "effect"
import { sha256 } from "../../events/Ids.ts"
import { ConfigInvalid, type ConfigProblem, kindOf, shown, withoutPassword } from "./ConfigInvalid.ts"
import type { DataDirectory } from "./DataDirectory.ts"
import { dataDirectoryVariable, modelKeys, type SettingKey, settingKeys } from "./SettingKeys.ts"
import { Settings } from "./Settings.ts"
import {
  decodeAt,
  isObject,
  type JsonObject,
  notPossible,
  type Origin,
  type Place,
  unknownKey,
  valueAt
} from "./SettingsCheck.ts"

/** One setting for people. */
export interface ConfigEntry {
  readonly key: string
  /** As it would stand in `reprise.json`; `undefined` where it is not set; `<redacted>` for a secret. */
  readonly value: unknown
  readonly origin: Origin
  /** The file, variable or flag; `default`. */
  readonly where: string
}

export interface Configuration {
  readonly settings: Settings
  readonly entries: ReadonlyArray<ConfigEntry>
  /** What is allowed and probably not meant. */
  readonly warnings: ReadonlyArray<string>
  readonly directory: DataDirectory
}

export class Config extends Context.Tag("reprise/runtime/Config")<Config, Configuration>() {}

export type Environment = Readonly<Record<string, string | undefined>>

export interface ConfigInputs {
  readonly directory: DataDirectory
  readonly environment: Environment
  /** What {@link readDotenv} found. */
  readonly dotenv: Dotenv
  /** By setting: `{ "files.jobs": 4 }`. An absent flag is `undefined`. */
  readonly flags: Readonly<Record<string, string | number | boolean | undefined>>
}

export interface Dotenv {
  readonly path: string
  readonly variables: Environment
}

const mostBytes = 1_048_576

/** Reads and decodes it all. Can be called again when the file has changed: a failure leaves the old one in force. */
export const loadConfig = Effect.fn("Config.load")(function* (
  inputs: ConfigInputs
): Effect.fn.Return<Configuration, ConfigInvalid, FileSystem.FileSystem> {
  const path = inputs.directory.files.config
  const strangers = Object.entries(inputs.flags).flatMap(([key, value]) =>
    value === undefined || settingKeys.some((one) => one.key === key)
      ? []
      : [unknownKey(flagFor(key), key.split("."))]
  )
  if (Arr.isNonEmptyReadonlyArray(strangers)) return yield* new ConfigInvalid({ problems: strangers })
  const file = yield* readSettingsFile(path)
  yield* decodeAt(file, (key) => ({ where: path, origin: "file", key }))

  const overrides = overridesOf(inputs)
  const merged = overrides.reduce<JsonObject>((all, { key, value }) => withValue(all, key.path, value), file)
  const originOf = (key: string): Place => {
    const override = overrides.findLast((one) => one.key.key === key)
    if (override !== undefined) return { where: override.where, origin: override.origin, key }
    return valueAt(file, key.split(".")) === undefined
      ? { where: "default", origin: "default", key }
      : { where: path, origin: "file", key }
  }
  const settings = yield* decodeAt(merged, originOf)
  const problems = notPossible(settings, originOf)
  if (Arr.isNonEmptyReadonlyArray(problems)) return yield* new ConfigInvalid({ problems })
  return {
    settings,
    entries: entriesOf(settings, originOf),
    warnings: warningsOf(inputs, settings),
    directory: inputs.directory
  }
})

/**
 * The variables of a `.env` file in `cwd`; none if there is no such file. Whatever else it holds is not ours to judge,
 * nor is a directory of that name (Python keeps environments in one).
 */
export const readDotenv = Effect.fn("Config.readDotenv")(function* (
  cwd: string
): Effect.fn.Return<Dotenv, ConfigInvalid, FileSystem.FileSystem> {
  const path = `${cwd}/.env`
  const fs = yield* FileSystem.FileSystem
  const isDirectory = yield* fs.stat(path).pipe(
    Effect.map(({ type }) => type === "Directory"),
    Effect.orElseSucceed(() => false)
  )
  const variables = parseEnv((isDirectory ? undefined : yield* readText(path)) ?? "")
  // A line without `=` swallows the next one: that is only noticed where it may have swallowed one of ours.
  const strange = Object.keys(variables).find((name) => /REPRISE_/.test(name) && !/^[A-Z0-9_]*$/.test(name))
  if (strange === undefined) return { path, variables }
  return yield* invalid({
    where: path,
    key: "",
    found: `not readable at ${shown(strange.split("\n")[0], false)}`,
    expected: "lines of the form NAME=value",
    remedy: "Correct the line, or start it with #."
  })
})

const invalid = (problem: ConfigProblem) => new ConfigInvalid({ problems: [problem] })

/** `undefined` if there is no such file. */
const readText = Effect.fnUntraced(function* (path: string) {
  const fs = yield* FileSystem.FileSystem
  const unreadable = (found: string) =>
    invalid({
      where: path,
      key: "",
      found,
      expected: "a readable text file",
      remedy: "Correct or remove it."
    })
  const info = yield* fs
    .stat(path)
    .pipe(
      Effect.catchAll((error) =>
        error._tag === "SystemError" && error.reason === "NotFound"
          ? Effect.succeed(undefined)
          : Effect.fail(unreadable(`not readable (${error.message})`))
      )
    )
  if (info === undefined) return undefined
  if (info.type !== "File") return yield* unreadable(`a ${info.type.toLowerCase()}`)
  if (info.size > mostBytes) return yield* unreadable(`larger than ${mostBytes} bytes`)
  return yield* Effect.mapError(fs.readFileString(path), ({ message }) =>
    unreadable(`not readable (${message})`)
  )
})

const readSettingsFile = Effect.fnUntraced(function* (path: string) {
  const text = yield* readText(path)
  if (text === undefined) return {}
  const json = yield* Effect.try({
    try: (): unknown => JSON.parse(text.replace(/^\uFEFF/, "")),
    catch: (error) =>
      invalid({
        where: path,
        key: "",
        // The engine's message quotes the text around the place, which may be a secret: only the place is kept.
        found: `no JSON${placeOf(text, error)}`,
        expected: "a JSON object",
        remedy: "Correct it, or remove it to run with the defaults."
      })
  })
  if (isObject(json)) return json
  const remedy = "Correct it, or remove it to run with the defaults."
  return yield* invalid({ where: path, key: "", found: kindOf(json), expected: "a JSON object", remedy })
})

const placeOf = (text: string, error: unknown): string => {
  const position = /position (\d+)/.exec(String(error))?.[1]
  if (position === undefined) return ""
  const before = text.slice(0, Number(position)).split("\n")
  return ` (line ${before.length}, column ${(before.at(-1) ?? "").length + 1})`
}

interface Override {
  readonly key: SettingKey
  readonly value: unknown
  readonly origin: Origin
  readonly where: string
}

const flagFor = (key: string): string => `the flag for ${shown(key, false).slice(1, -1)}`

/** Lowest first. An empty variable is one that is not set. */
const overridesOf = ({ dotenv, environment, flags }: ConfigInputs): ReadonlyArray<Override> => {
  const fromVariables = (variables: Environment, origin: Origin, where: (variable: string) => string) =>
    settingKeys.flatMap((key): ReadonlyArray<Override> => {
      const given = variables[key.variable] ?? ""
      if (given.trim() === "") return []
      const text = isPrefix(key) ? given : given.trim()
      return [{ key, value: fromText(key, text), origin, where: where(key.variable) }]
    })
  const fromFlags = settingKeys.flatMap((key): ReadonlyArray<Override> => {
    const given = flags[key.key]
    if (given === undefined) return []
    const value = typeof given === "string" ? fromText(key, given) : given
    return [{ key, value, origin: "flag", where: flagFor(key.key) }]
  })
  return [
    ...fromVariables(dotenv.variables, "dotenv", (variable) => `${dotenv.path}, ${variable}`),
    ...fromVariables(environment, "environment", (variable) => variable),
    ...fromFlags
  ]
}

/** What is put before a text means its white space: `search_query: `. */
const isPrefix = ({ key }: SettingKey): boolean => /^embedding\.(document|query)Prefix$/.test(key)

/** What is no number or truth value stays a text, and is refused as one. */
const fromText = ({ form }: SettingKey, text: string): unknown => {
  if (form === "number") return /^[+-]?\d+(\.\d+)?$/.test(text) ? Number(text) : text
  if (form === "text") return text
  if (/^(true|yes|on|1)$/i.test(text)) return true
  return /^(false|no|off|0)$/i.test(text) ? false : text
}

const withValue = (
  object: JsonObject,
  [part, ...rest]: ReadonlyArray<string>,
  value: unknown
): JsonObject => {
  if (part === undefined) return object
  const inner = object[part]
  return {
    ...object,
    [part]: rest.length === 0 ? value : withValue(isObject(inner) ? inner : {}, rest, value)
  }
}

/** Settings that only a server has a use for. */
const servers = /^(http|sync|log)\./

/** Equal where two processes would do the same with a data directory. Secrets count as what is printed of them. */
export const settingsDigest = ({ entries }: Pick<Configuration, "entries">): string =>
  sha256(
    JSON.stringify(
      entries.filter(({ key }) => !servers.test(key)).map(({ key, value }) => [key, value ?? null])
    )
  )

const encodeSettings = Schema.encodeSync(Settings)

const entriesOf = (settings: Settings, placeOf: (key: string) => Place): ReadonlyArray<ConfigEntry> => {
  const encoded: JsonObject = encodeSettings(settings)
  const keys = [...settingKeys, ...Object.keys(settings.models).flatMap(modelKeys)]
  return keys.map(({ key, path, secret }) => {
    const value = valueAt(encoded, path)
    const { origin, where } = placeOf(key)
    return {
      key,
      value: value !== undefined && secret ? "<redacted>" : withoutPassword(value),
      origin,
      where
    }
  })
}

const warningsOf = (
  { dotenv, environment }: ConfigInputs,
  { embedding }: Settings
): ReadonlyArray<string> => {
  const known = new Set([dataDirectoryVariable, ...settingKeys.map(({ variable }) => variable)])
  const strangers = [...Object.keys(dotenv.variables), ...Object.keys(environment)].filter(
    (name) => name.startsWith("REPRISE_") && !known.has(name)
  )
  const warnings = [...new Set(strangers)].map(
    (name) => `${shown(name, false).slice(1, -1)} is not a setting and has no effect.`
  )
  if (embedding.provider === "hashing" && (embedding.url !== undefined || embedding.model !== undefined))
    warnings.push('embedding.url and embedding.model have no effect while embedding.provider is "hashing".')
  return warnings
}
