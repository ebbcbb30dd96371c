import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import * as OpenAiModel from "../../src/embedding/OpenAiModel.ts"
import { confirmSameModel, probe } from "../../src/embedding/Probe.ts"
import { Providers } from "../../src/embedding/Providers.ts"
import { makeProviderServer } from "../support/ProviderServer.ts"

const settings = {
  ...OpenAiModel.openAiDefaults,
  model: "test-model",
  timeout: Duration.seconds(5),
  pacing: { concurrency: 1, attempts: 1, patience: Duration.seconds(1) }
}

describe("E5 the probe", () => {
  it.scopedLive("notices another model behind the same name, and only that", () =>
    Effect.gen(function* () {
      const server = yield* makeProviderServer()
      const model = yield* OpenAiModel.make({ ...settings, url: server.url, dimensions: 64 }, [])
      const recorded = yield* probe(model)
      yield* confirmSameModel(model, recorded)
      yield* confirmSameModel(
        model,
        recorded.map((value) => value * 1.001)
      )
      server.always({ kind: "other model" })
      const error = yield* Effect.flip(confirmSameModel(model, recorded))
      assert.strictEqual(error._tag, "ProviderRefused")
      assert.include(error.message, "another model answers to this name")
      assert.include(error.message, "reprise build")
    }).pipe(Effect.provide(Providers.layer))
  )

  it.scopedLive("takes other dimensions for another model", () =>
    Effect.gen(function* () {
      const server = yield* makeProviderServer()
      const model = yield* OpenAiModel.make({ ...settings, url: server.url, dimensions: 64 }, [])
      const error = yield* Effect.flip(confirmSameModel(model, new Float32Array(8).fill(0.35)))
      assert.strictEqual(error._tag, "ProviderRefused")
    }).pipe(Effect.provide(Providers.layer))
  )
})
