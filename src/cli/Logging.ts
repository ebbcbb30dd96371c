/**
 * What the product logs while a command runs: warnings and errors, one a line on standard error. `log.level` shows more; of
 * the environment until the other places were read.
 */
import { Cause, Effect, HashMap, Logger, LogLevel } from "effect"
import { Io } from "./Io.ts"
import { printable } from "./Printable.ts"
import { styleOf } from "./Style.ts"

const levels = { trace: LogLevel.Trace, debug: LogLevel.Debug, info: LogLevel.Info, error: LogLevel.Error }

/** By the setting's name; warnings and above where nothing was said. */
export const logLevelOf = (name: string | undefined): LogLevel.LogLevel => {
  if (name === "none") return LogLevel.None
  return Object.entries(levels).find(([one]) => one === name)?.[1] ?? LogLevel.Warning
}

export const quietly = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Io> =>
  Effect.flatMap(Io, (io) => {
    const style = styleOf(io.errIsTerminal, io.environment)
    const logger = Logger.make<unknown, void>(({ annotations, cause, logLevel, message }) => {
      const text = [message].flat().map(String).join(" ")
      const data = [...HashMap.toEntries(annotations)].map(([key, value]) => `${key}=${String(value)}`)
      const why = Cause.isEmpty(cause) ? [] : [Cause.pretty(cause).split("\n")[0] ?? ""]
      const line = printable([text, ...data, ...why].join(" "))
      Effect.runFork(io.err(`${style.yellow(`${logLevel.label.toLowerCase()}:`)} ${line}\n`))
    })
    return effect.pipe(
      Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
      Logger.withMinimumLogLevel(logLevelOf(io.environment["REPRISE_LOG_LEVEL"]))
    )
  })
