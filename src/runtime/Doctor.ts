/**
 * Checks everything that a data directory needs, in the order in which one thing stands on the other, and says of each what
 * to do. Changes nothing.
 */
import { existsSync } from "node:fs"
import { Effect, Either, Layer } from "effect"
import type { GenerationRow } from "../log/ReadModels.ts"
import { ReadModels } from "../log/ReadModels.ts"
import { lockedBy } from "../log/WriterLock.ts"
import type { Configuration } from "./Config.ts"
import type { ConfigInvalid } from "./ConfigInvalid.ts"
import { type Diagnosis, type Finding, failed, ok, skipped } from "./doctor/Check.ts"
import { directoryCheck, lockCheck, logCheck } from "./doctor/DirectoryChecks.ts"
import { analyzerCheck, indexCheck, modelCheck, providerCheck, workCheck } from "./doctor/IndexChecks.ts"
import {
  durabilityCheck,
  existingAbove,
  type Machine,
  nativeCheck,
  nodeCheck,
  spaceCheck,
  thisMachine
} from "./doctor/MachineChecks.ts"
import { serverChecks } from "./doctor/ServerChecks.ts"
import * as OpenReading from "./OpenReading.ts"
import { Reader } from "./Reprise.ts"

export { thisMachine }

export const diagnose = Effect.fn("Doctor.diagnose")(function* (
  loading: Effect.Effect<Configuration, ConfigInvalid>,
  machine: Machine
): Effect.fn.Return<Diagnosis> {
  const checks: Array<Finding> = [nodeCheck(machine), yield* nativeCheck(machine)]
  const healthy = () => checks.every(({ state }) => state !== "failed")
  const loaded = yield* Effect.either(loading)
  if (Either.isLeft(loaded)) {
    checks.push(failed("configuration", loaded.left.message, "Correct what is named. See: reprise config"))
    return { healthy: false, checks }
  }
  const configuration = loaded.right
  const { directory } = configuration
  checks.push(
    configuration.warnings.length === 0
      ? ok("configuration", "valid")
      : ok("configuration", `valid, but: ${configuration.warnings.join(" ")}`)
  )
  // Without SQLite nothing below can be looked at.
  if (!healthy()) return { healthy: false, checks }

  const place = existingAbove(directory.path, existsSync)
  checks.push(yield* directoryCheck(directory), yield* durabilityCheck(machine, place))
  const isThere = existsSync(directory.files.log) && healthy()
  if (!isThere) {
    const why = healthy() ? "nothing was added yet" : "the data directory cannot be used"
    checks.push(
      yield* spaceCheck(machine, place, 0),
      ...["lock", "log", "index", "analyzer", "model", "work"].map((check) => skipped(check, why)),
      yield* providerCheck(configuration),
      ...(yield* serverChecks(configuration, undefined))
    )
    return { healthy: healthy(), checks }
  }
  checks.push(yield* lockCheck(directory.path), ...(yield* readingChecks(configuration, machine)))
  return { healthy: healthy(), checks }
})

/** Those that read the log; where it cannot be opened, that is what failed. */
const readingChecks = (configuration: Configuration, machine: Machine) => {
  const { path } = configuration.directory
  const layer = Layer.merge(OpenReading.layer({ configuration, embeds: false }), OpenReading.readLog(path))
  const checks = Effect.gen(function* () {
    const reader = yield* Reader
    const log = yield* logCheck(reader)
    if (log.state === "failed") return [log]
    const status = yield* reader.status()
    const live: GenerationRow | undefined = yield* Effect.flatMap(ReadModels, (models) => models.live)
    const holder = yield* Effect.sync(() => lockedBy(path)).pipe(
      Effect.catchAllDefect(() => Effect.succeed(undefined))
    )
    return [
      log,
      yield* spaceCheck(machine, path, status.log.bytes),
      indexCheck(status, holder),
      yield* analyzerCheck(live),
      yield* modelCheck(live, configuration),
      yield* providerCheck(configuration),
      ...(yield* serverChecks(configuration, live)),
      workCheck(status)
    ]
  })
  return checks.pipe(
    Effect.provide(layer),
    Effect.catchAll((error) =>
      Effect.succeed([failed("log", error.message, "Look for what is damaged with: reprise log verify")])
    )
  )
}
