/** What searches need: a generation at the head, made with what this program has, under the configured model. */
import { existsSync } from "node:fs"
import { Duration, Effect, Either, Layer } from "effect"
import { EmbeddingModel } from "../../embedding/EmbeddingModel.ts"
import { probe } from "../../embedding/Probe.ts"
import { Providers } from "../../embedding/Providers.ts"
import type { GenerationRow } from "../../log/ReadModels.ts"
import { analyzerFor, analyzerOf } from "../Analyzers.ts"
import type { Configuration } from "../Config.ts"
import { withoutPassword } from "../ConfigInvalid.ts"
import { comparedModel, configuredModel } from "../ConfiguredModel.ts"
import { configuredSpec } from "../ConfiguredSpec.ts"
import { modelLayer } from "../Models.ts"
import { readLog } from "../OpenReading.ts"
import type { Status } from "../Reprise.ts"
import { type Finding, failed, guarded, ok, skipped } from "./Check.ts"

export const indexCheck = (status: Status, holder: string | undefined): Finding => {
  const live = status.generations.find(({ state }) => state === "live")
  if (live === undefined) return skipped("index", "nothing was added yet")
  if (live.problem !== undefined)
    return failed(
      "index",
      `${live.id}: ${live.problem}`,
      live.engine === "qdrant"
        ? "Look at the server, and at qdrant.url and qdrant.apiKey (reprise config); what writes next fills it again. Or: reprise replay"
        : "reprise replay"
    )
  if (live.lag > 0 && status.indexing.paused)
    return failed(
      "index",
      `${live.id} is ${live.lag} events behind the log, and the index is paused`,
      "reprise lanes resume index"
    )
  if (live.lag > 0 && holder === undefined) {
    return failed(
      "index",
      `${live.id} is ${live.lag} events behind the log, and nobody is applying them`,
      "reprise sync (whatever writes catches up first), or reprise replay"
    )
  }
  return ok("index", `${live.id} is live at position ${live.checkpoint}, ${live.lag} behind the log`)
}

export const analyzerCheck = (live: GenerationRow | undefined): Effect.Effect<Finding> =>
  live === undefined
    ? Effect.succeed(skipped("analyzer", "nothing was added yet"))
    : guarded(
        "analyzer",
        "reprise replay",
        Effect.try({
          try: () => {
            analyzerOf(live.spec)
            return ok(
              "analyzer",
              `this program has ${live.spec.analyzer} (Unicode ${process.versions.unicode ?? "unknown"})`
            )
          },
          catch: (cause) => (cause instanceof Error ? cause : new Error(String(cause)))
        })
      )

/** The configured model is asked for nothing here: of another one than that which made the generation there is nothing to know. */
export const modelCheck = (
  live: GenerationRow | undefined,
  configuration: Configuration
): Effect.Effect<Finding> => {
  if (live === undefined) return Effect.succeed(skipped("model", "nothing was added yet"))
  const { embedding } = configuration.settings
  const check = Effect.gen(function* () {
    const model = yield* EmbeddingModel
    const { chunker, model: fingerprint, modelName } = configuredSpec(configuration.settings, model)
    const { spec } = live
    if (fingerprint !== spec.model) {
      return failed(
        "model",
        `${modelName} is configured, but the live generation was made with ${spec.modelName}`,
        "Build a generation under the configured model: reprise build --dry-run, then reprise build. Or configure the former one again."
      )
    }
    if (chunker !== spec.chunker) {
      return failed(
        "model",
        `the configured chunking (${chunker}) is not the live generation's (${spec.chunker})`,
        "reprise build, or configure the former chunking again"
      )
    }
    return ok("model", `${modelName} is configured and made the live generation`)
  })
  return guarded(
    "model",
    `Check embedding.url (${withoutPassword(embedding.url ?? "not set")}), embedding.model and embedding.apiKey: reprise config`,
    check.pipe(
      Effect.provide(
        Layer.provide(comparedModel(configuration.settings), readLog(configuration.directory.path))
      ),
      Effect.scoped
    )
  )
}

export const providerCheck = (configuration: Configuration): Effect.Effect<Finding> => {
  const { embedding } = configuration.settings
  if (embedding.provider === "hashing") {
    return Effect.succeed(skipped("provider", "hashing runs in this process and needs none"))
  }
  const patient = {
    ...configuration,
    settings: {
      ...configuration.settings,
      embedding: {
        ...embedding,
        attempts: 1,
        patience: Duration.zero,
        // A model of this machine is read first, which may take its time.
        timeout: embedding.provider === "local" ? embedding.timeout : Duration.seconds(10)
      }
    }
  }
  const check = Effect.gen(function* () {
    const model = yield* EmbeddingModel
    const probed = yield* Effect.either(probe(model))
    if (Either.isLeft(probed)) return yield* probed.left
    return ok("provider", `${model.name} answers with vectors of ${probed.right.length} dimensions`)
  })
  return guarded(
    "provider",
    embedding.provider === "local"
      ? `Check embedding.model and the files there: reprise config`
      : `Check that it runs, and embedding.url (${withoutPassword(embedding.url ?? "not set")}), embedding.model and embedding.apiKey: reprise config`,
    check.pipe(Effect.provide(modelOf(patient)), Effect.scoped)
  )
}

/** Before there is a log, nothing is known of the model. */
const modelOf = ({ directory, settings }: Configuration) =>
  existsSync(directory.files.log)
    ? Layer.provide(configuredModel(settings), readLog(directory.path))
    : Layer.provide(modelLayer(settings.embedding, analyzerFor(settings.language), []), Providers.layer)

export const workCheck = (status: Status): Finding => {
  const { held, parked, sources } = status
  const waiting = held.reduce((sum, { count }) => sum + count, 0)
  const broken = sources.filter(({ failure }) => failure !== undefined)
  if (parked > 0) {
    return failed(
      "work",
      `${parked} document(s) are parked`,
      "See why: reprise jobs list --state parked. Then: reprise jobs retry <id>, or reprise jobs cancel <id>"
    )
  }
  if (waiting > 0) {
    return failed(
      "work",
      `${waiting} removal(s) are held`,
      "Look at what is gone: reprise sync --dry-run. Then bring it back, or: reprise sync --approve-removals"
    )
  }
  const [first] = broken
  if (first !== undefined) {
    return failed("work", `the last sync of ${first.root} failed: ${first.failure ?? ""}`, "reprise sync")
  }
  return ok("work", "nothing is parked, held or failed")
}
