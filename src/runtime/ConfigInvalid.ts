/**
 * What is wrong with a configuration, and what to do.
 */
import { Schema } from "effect"

export const ConfigProblem = Schema.Struct({
  /** A file, a variable or a flag. */
  where: Schema.String,
  /** `embedding.batchSize`; empty where the whole of it is meant. */
  key: Schema.String,
  /** As JSON, shortened; never a secret. */
  found: Schema.String,
  expected: Schema.String,
  remedy: Schema.String
})
export type ConfigProblem = typeof ConfigProblem.Type

/** Nothing was started and nothing changed. Correct what is named; a running process keeps its settings. Exit code 2. */
export class ConfigInvalid extends Schema.TaggedError<ConfigInvalid>()("ConfigInvalid", {
  problems: Schema.NonEmptyArray(ConfigProblem)
}) {
  override get message() {
    const [first, ...others] = this.problems.map(sentence)
    return [first, ...others.slice(0, 9)].join("\n")
  }
}

const sentence = ({ expected, found, key, remedy, where }: ConfigProblem): string =>
  `${where}: ${key === "" ? "it" : `"${key}"`} is ${found}, expected ${expected}. ${remedy}`

const mostCharacters = 80

/** A value for people: JSON on one line, shortened, control characters and passwords in addresses taken out. */
export const shown = (value: unknown, secret: boolean): string => {
  if (secret) return "<redacted>"
  const json = JSON.stringify(withoutPassword(value)) ?? "nothing"
  const clean = json.replaceAll(/[\p{Cc}\p{Cf}]/gu, "")
  return clean.length > mostCharacters ? `${clean.slice(0, mostCharacters)}…` : clean
}

/** `nats://user:password@host` keeps its host, `https://host/?api-key=…` the names of its parameters. */
export const withoutPassword = (value: unknown): unknown =>
  typeof value === "string"
    ? value.replaceAll(/:\/\/[^/?#]*@/g, "://<redacted>@").replaceAll(secretParameter, "$1<redacted>")
    : value

const secretParameter = /([?&][^?&=#\s]*(?:key|token|secret|sig|pass|auth|credential)[^?&=#\s]*=)[^&#\s]+/gi

/** What a value is, without saying it. */
export const kindOf = (value: unknown): string => {
  if (value === null) return "null"
  if (Array.isArray(value)) return "an array"
  return typeof value === "object" ? "an object" : `a ${typeof value}`
}
