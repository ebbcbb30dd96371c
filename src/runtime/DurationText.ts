/**
 * Durations as people write them in settings: `500ms`, `30 seconds`, `5m`, `1.5 hours`.
 */
import { Duration, ParseResult, Schema } from "effect"

const pattern = /^(\d{1,9}(?:\.\d{1,3})?)\s*([a-z]+)$/i

const unitsMs: ReadonlyArray<readonly [RegExp, string, number]> = [
  [/^(d|days?)$/i, "d", 86_400_000],
  [/^(h|hours?)$/i, "h", 3_600_000],
  [/^(m|min|minutes?)$/i, "m", 60_000],
  [/^(s|sec|seconds?)$/i, "s", 1_000],
  [/^(ms|millis|milliseconds?)$/i, "ms", 1]
]

export const parseDuration = (text: string): Duration.Duration | undefined => {
  const [, amount, unit] = pattern.exec(text.trim()) ?? []
  const known = unitsMs.find(([names]) => names.test(unit ?? ""))
  return known === undefined ? undefined : Duration.millis(Number(amount) * known[2])
}

/** In the largest unit that needs no fraction. */
export const formatDuration = (duration: Duration.Duration): string => {
  const ms = Duration.toMillis(duration)
  const [, unit, size] = unitsMs.find(([, , size]) => ms >= size && ms % size === 0) ?? ["", "ms", 1]
  return `${ms / size}${unit}`
}

/** Between two durations, both included. Encoded as text. */
export const durationBetween = (least: Duration.Duration, most: Duration.Duration) =>
  Schema.transformOrFail(Schema.String, Schema.DurationFromSelf, {
    strict: true,
    decode: (text, _options, ast) => {
      const duration = parseDuration(text)
      return duration !== undefined && Duration.between(duration, { minimum: least, maximum: most })
        ? ParseResult.succeed(duration)
        : ParseResult.fail(new ParseResult.Type(ast, text))
    },
    encode: (duration) => ParseResult.succeed(formatDuration(duration))
  })
