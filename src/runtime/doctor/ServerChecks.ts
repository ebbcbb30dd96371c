/** The servers that the settings name: without them whatever writes would not even begin. Where they name none, nothing is said. */
import { Effect } from "effect"
import type { GenerationRow } from "../../log/ReadModels.ts"
import type { Configuration } from "../Config.ts"
import { withoutPassword } from "../ConfigInvalid.ts"
import { indexOptions, qdrantIndex } from "../IndexContext.ts"
import { type Finding, guarded, ok } from "./Check.ts"

export const serverChecks = (
  configuration: Configuration,
  live: GenerationRow | undefined
): Effect.Effect<ReadonlyArray<Finding>> => {
  const { bus, index } = configuration.settings
  return Effect.all([
    ...(bus === "nats" ? [busCheck(configuration)] : []),
    // How a generation stands there says the check of the index.
    ...(index === "qdrant" && live?.spec.engine !== "qdrant" ? [engineCheck(configuration)] : [])
  ])
}

const busCheck = ({ settings }: Configuration): Effect.Effect<Finding> =>
  guarded(
    "bus",
    `Start it, or correct nats.url (${withoutPassword(settings.nats.url)}) and its credentials: reprise config. Or do without: bus=memory`,
    Effect.gen(function* () {
      const { reached } = yield* Effect.promise(() => import("../ConfiguredNats.ts"))
      const state = yield* reached(settings, { role: "reprise doctor", wait: false })
      return ok("bus", `${state.server} is there, with JetStream`)
    })
  )

const engineCheck = ({ directory, settings }: Configuration): Effect.Effect<Finding> =>
  guarded(
    "engine",
    `Start it, or correct qdrant.url (${withoutPassword(settings.qdrant.url ?? "not set")}) and qdrant.apiKey: reprise config`,
    Effect.gen(function* () {
      const { qdrant } = yield* indexOptions(directory.path, settings)
      if (qdrant !== undefined) yield* (yield* qdrantIndex).reach(qdrant)
      return ok("engine", "the Qdrant server that the settings name is there")
    })
  )
