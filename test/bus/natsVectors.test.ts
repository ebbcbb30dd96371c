/** Vectors over NATS: they are paid for, so what was reported outlives whoever reported it. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Stream } from "effect"
import { sha256 } from "../../events/index.ts"
import { Bus, type WorkResult } from "../../src/bus/Bus.ts"
import * as Connection from "../../src/bus/nats/Connection.ts"
import { divided } from "../../src/bus/nats/Divided.ts"
import { encodeResult } from "../../src/bus/nats/MessageCodec.ts"
import * as NatsBus from "../../src/bus/nats/NatsBus.ts"
import { vectorsFor } from "../conformance/bus.ts"
import { natsServer } from "../support/NatsServer.ts"
import { optionsFor } from "../support/natsClient.ts"

const batchOf = (count: number, dimensions: number): Extract<WorkResult, { _tag: "Vectors" }> => ({
  ...vectorsFor(new Float32Array(0)),
  batchId: sha256("batch"),
  vectors: Array.from({ length: count }, (_, at) => ({
    inputHash: sha256(`input ${at}`),
    vector: Float32Array.from({ length: dimensions }, (_, place) => at + place / 8)
  })),
  tokens: 7
})

const isVectors = (result: WorkResult): result is Extract<WorkResult, { _tag: "Vectors" }> =>
  result._tag === "Vectors"

describe("vectors over NATS", () => {
  it("are divided into parts that fit, with each of them once and what they cost once", () => {
    for (const [count, dimensions, most] of [
      [64, 128, 8_192],
      [64, 8, 8_192],
      [3, 4_000, 8_192],
      [1, 8, 8_192],
      [0, 8, 8_192],
      [100, 16, 500]
    ] as const) {
      const batch = batchOf(count, dimensions)
      const parts = divided(batch, most).filter(isVectors)
      assert.deepStrictEqual(
        parts.flatMap(({ vectors }) => vectors),
        batch.vectors
      )
      assert.strictEqual(
        parts.reduce((total, { tokens }) => total + tokens, 0),
        7
      )
      assert.strictEqual(new Set(parts.map(({ batchId }) => batchId)).size, parts.length)
      for (const part of parts)
        assert.isTrue(
          encodeResult(part).length <= most || part.vectors.length === 1,
          `${count} ${dimensions}`
        )
    }
  })

  it.scopedLive("are there although they are larger than a message may be and their worker has ended", () =>
    Effect.gen(function* () {
      const { url } = yield* natsServer({ configuration: "max_payload: 16KB" })
      const bus = NatsBus.layer().pipe(Layer.provide(Connection.layer(optionsFor(url))))
      const batch = batchOf(64, 128)
      yield* Layer.build(bus).pipe(
        Effect.flatMap((worker) => Context.get(worker, Bus).report([batch])),
        Effect.scoped
      )
      const coordinator = Context.get(yield* Layer.build(bus), Bus)
      const came = new Map<string, Float32Array>()
      yield* coordinator.results.pipe(
        Stream.tap(({ ack, value }) => {
          for (const { inputHash, vector } of isVectors(value) ? value.vectors : [])
            came.set(inputHash, vector)
          return ack
        }),
        Stream.takeUntil(() => came.size === batch.vectors.length),
        Stream.runDrain,
        Effect.timeout("10 seconds")
      )
      for (const { inputHash, vector } of batch.vectors) assert.deepStrictEqual(came.get(inputHash), vector)
    })
  )
})
