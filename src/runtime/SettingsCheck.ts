/**
 * Decodes settings, and says of everything that is wrong where it stands, what it is, what it should be and what to do.
 */
import { Array as Arr, Effect, Either, ParseResult, Schema } from "effect"
import { ConfigInvalid, type ConfigProblem, kindOf, shown } from "./ConfigInvalid.ts"
import { isSecret, modelKeys, settingKeys } from "./SettingKeys.ts"
import { natsServers, Settings } from "./Settings.ts"

export type Origin = "default" | "file" | "dotenv" | "environment" | "flag"

/** Where a value came from, for people. */
export interface Place {
  readonly origin: Origin
  readonly where: string
  readonly key: string
}

export type JsonObject = { readonly [key: string]: unknown }

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

export const valueAt = (object: JsonObject, path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>((at, part) => (isObject(at) && Object.hasOwn(at, part) ? at[part] : undefined), object)

const decodeSettings = Schema.decodeUnknownEither(Settings, { errors: "all", onExcessProperty: "error" })

/** Decodes and says where each thing that is wrong came from. */
export const decodeAt = Effect.fnUntraced(function* (
  value: JsonObject,
  placeOf: (key: string) => Place
): Effect.fn.Return<Settings, ConfigInvalid> {
  const decoded = decodeSettings(value)
  if (Either.isRight(decoded)) return decoded.right
  const problems = ParseResult.ArrayFormatter.formatErrorSync(decoded.left).map(({ _tag, message, path }) => {
    const parts = path.map(String)
    const key = parts.join(".")
    const { where } = placeOf(key)
    if (_tag === "Unexpected") return unknownKey(where, parts)
    const found = valueAt(value, parts)
    return isGroup(key)
      ? { where, key, found: kindOf(found), expected: "an object", remedy: "Correct or remove it." }
      : {
          where,
          key,
          found: shown(found, isSecret(path)),
          expected: message,
          remedy: "Correct or remove it."
        }
  })
  return yield* Arr.isNonEmptyReadonlyArray(problems)
    ? new ConfigInvalid({ problems })
    : Effect.die("A decoding error without an issue.")
})

const isGroup = (key: string): boolean =>
  key === "models" || /^models\.[^.]*$/.test(key) || settingKeys.some((one) => one.key.startsWith(`${key}.`))

/** A name that no setting has, with those that stand beside it. */
export const unknownKey = (where: string, path: ReadonlyArray<string>): ConfigProblem => {
  const key = shown(path.join("."), false).slice(1, -1)
  const [first, model = ""] = path
  if (first === "models" && path.length === 2)
    return {
      where,
      key,
      found: "no name for a model",
      expected: "lower-case letters, digits, - and _, at most 63",
      remedy: "Rename it."
    }
  const known = [...(first === "models" ? modelKeys(model) : settingKeys).map((one) => one.path), ["models"]]
  const beside = known.flatMap((one) => {
    const name = one[path.length - 1]
    return name !== undefined && path.slice(0, -1).every((part, at) => one[at] === part) ? [name] : []
  })
  return {
    where,
    key,
    found: "no setting",
    expected: `one of ${[...new Set(beside)].join(", ")}`,
    remedy: "Correct its name or remove it."
  }
}

/** What the schema allows and this version, or the rest of the settings, does not. */
export const notPossible = (
  settings: Settings,
  placeOf: (key: string) => Place
): ReadonlyArray<ConfigProblem> => {
  const problem = (key: string, found: unknown, expected: string, remedy: string): ConfigProblem => ({
    where: placeOf(key).where,
    key,
    found: found === undefined ? "not set" : shown(found, false),
    expected,
    remedy
  })
  const { chunking, embedding, index, models, qdrant } = settings
  const problems: Array<ConfigProblem> = []
  if (index === "qdrant" && qdrant.url === undefined)
    problems.push(
      problem(
        "qdrant.url",
        undefined,
        "the address of the Qdrant server",
        "Set it, for example to http://127.0.0.1:6333."
      )
    )
  if (chunking.overlapTokens * 2 > chunking.maxTokens)
    problems.push(
      problem(
        "chunking.overlapTokens",
        chunking.overlapTokens,
        `at most half of chunking.maxTokens (${chunking.maxTokens})`,
        "Lower it, or raise chunking.maxTokens."
      )
    )
  const all = [
    { at: "embedding", model: embedding },
    ...Object.entries(models).map(([name, model]) => ({ at: `models.${name}`, model }))
  ]
  for (const { at, model } of all) {
    if (model.provider === "local" && model.model === undefined)
      problems.push(
        problem(
          `${at}.model`,
          undefined,
          "the directory of the model's files",
          "Set it, best as a whole path."
        )
      )
    if (model.provider !== "openai") continue
    if (model.url === undefined)
      problems.push(
        problem(
          `${at}.url`,
          undefined,
          "the base address of the provider",
          "Set it, for example to https://api.openai.com/v1 or http://127.0.0.1:11434."
        )
      )
    if (model.model === undefined)
      problems.push(
        problem(`${at}.model`, undefined, "the model's name, as the provider knows it", "Set it.")
      )
  }
  return [...problems, ...halfCredentials(settings.nats, problem)]
}

/** What a NATS server would refuse whatever it is configured for: one half of a pair. */
const halfCredentials = (
  { password, tlsCert, tlsKey, url, user }: Settings["nats"],
  problem: (key: string, found: unknown, expected: string, remedy: string) => ConfigProblem
): ReadonlyArray<ConfigProblem> => {
  const missing = (key: string, expected: string, remedy: string) => [
    problem(`nats.${key}`, undefined, expected, remedy)
  ]
  const named = (natsServers(url) ?? []).find(({ username }) => username !== "")
  const hasUser = user !== undefined || named !== undefined
  const hasPassword = password !== undefined || (named !== undefined && named.password !== "")
  return [
    ...(hasUser && !hasPassword
      ? missing(
          "password",
          user === undefined ? "the password of the user that nats.url names" : "the password of nats.user",
          "Set it; if what stands there is a token, set nats.token instead."
        )
      : []),
    ...(hasPassword && !hasUser
      ? missing("user", "the user whose password nats.password is", "Set it, or remove nats.password.")
      : []),
    ...(tlsCert !== undefined && tlsKey === undefined
      ? missing("tlsKey", "the key of nats.tlsCert", "Set it, or remove nats.tlsCert.")
      : []),
    ...(tlsKey !== undefined && tlsCert === undefined
      ? missing("tlsCert", "the certificate whose key nats.tlsKey is", "Set it, or remove nats.tlsKey.")
      : [])
  ]
}
