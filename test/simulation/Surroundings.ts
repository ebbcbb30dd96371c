/** What surrounds the actors: a bus that loses, repeats and delays, a provider that fails, failpoints that kill or throw. */
import { createHash } from "node:crypto"
import { Duration, Effect, Layer, type Scope, Stream } from "effect"
import * as Preparer from "../../actors/Ingestor/Preparer.ts"
import * as PreparerInThread from "../../actors/Ingestor/PreparerInThread.ts"
import { codeFingerprint, type Spec } from "../../events/index.ts"
import { Bus, type BusService, BusUnavailable, claimOneByOne, type Delivery } from "../../src/bus/Bus.ts"
import * as InProcessBus from "../../src/bus/InProcessBus.ts"
import { type ChunkerSettings, makeChunker } from "../../src/documents/Chunker.ts"
import { defaultPrepareLimits } from "../../src/documents/PrepareLimits.ts"
import { checkedModel } from "../../src/embedding/CheckedModel.ts"
import {
  type EmbeddingModelService,
  ProviderBusy,
  ProviderRefused,
  ProviderUnavailable
} from "../../src/embedding/EmbeddingModel.ts"
import { BatchRefused } from "../../src/embedding/Provider.ts"
import { FailpointFired, type FailpointsService } from "../../src/faults/Failpoints.ts"
import { analyzerFor } from "../../src/runtime/Analyzers.ts"
import { claimOne } from "../support/claimOne.ts"
import type { Faults } from "./Faults.ts"
import type { Process } from "./World.ts"

/** With the smaller one documents have more chunks, and other ones. */
export const chunkings = {
  large: { maxTokens: 64, overlapTokens: 0 },
  small: { maxTokens: 40, overlapTokens: 0 }
} satisfies { readonly [name: string]: ChunkerSettings }
export const batchSize = 3
export const concurrency = 2
const dimensions = 8

/** One word that stands in every chunk, so that a search for it must find all there is. */
export const everywhere = "ledger"

/** The document that a text of letters stands for: a section of its own for each, so that documents share chunks. */
export const bodyOf = (letters: string): string =>
  [...letters].map((letter) => `## Part ${named(letter)}\n\n${passage(letter)}\n`).join("\n")

const named = (letter: string): string =>
  letter === "!" ? "unparseable" : letter === "?" ? "refused" : letter.repeat(3)
const passage = (letter: string): string =>
  `The ${everywhere} of ${named(letter)} stays ${named(letter)}${letter}. `.repeat(7).trim()

export const preparerWith = (chunking: ChunkerSettings): Layer.Layer<Preparer.Preparer> =>
  Layer.effect(
    Preparer.Preparer,
    Effect.map(Preparer.Preparer, (real) => {
      const prepare = (document: Preparer.ToPrepare) =>
        new TextDecoder().decode(document.raw).includes("unparseable")
          ? Effect.succeed({
              _tag: "Unparseable" as const,
              code: "parser-failed",
              message: "It cannot be parsed."
            })
          : real.prepare(document)
      return Preparer.Preparer.of({
        ...real,
        prepare,
        prepareAll: (documents) => Effect.forEach(documents, prepare)
      })
    })
  ).pipe(Layer.provide(PreparerInThread.layer({ chunkers: [chunking], limits: defaultPrepareLimits })))

/** The direction of a text: eight numbers from its hash. */
const directionOf = (text: string): ReadonlyArray<number> =>
  Array.from(createHash("sha256").update(text).digest().subarray(0, dimensions), (byte) => byte / 128 - 0.99)

/** `paid` hears of every input that was answered for. */
export const providerWith = (faults: Faults, paid: (inputs: number) => void): EmbeddingModelService =>
  checkedModel({
    fingerprint: codeFingerprint("simulated", [String(dimensions)]),
    name: "simulated",
    dimensions,
    maxInputTokens: 8192,
    batchSize,
    concurrency,
    denseWeight: 1,
    timeout: Duration.seconds(20),
    request: (inputs, purpose) =>
      Effect.gen(function* () {
        const fault = faults.at("provider")
        yield* Effect.sleep(Duration.millis(fault?.kind === "slow" ? (fault.ms ?? 0) * 10 : 20))
        if (fault?.kind === "busy")
          return yield* new ProviderBusy({ provider: "simulated", retryAfterMs: fault.ms ?? 0 })
        if (fault?.kind === "away")
          return yield* new ProviderUnavailable({ provider: "simulated", detail: "it is away" })
        if (fault?.kind === "refuse")
          return yield* new ProviderRefused({ provider: "simulated", detail: "it refuses", inputs: [] })
        if (inputs.some(({ text }) => text.includes("refused")))
          return yield* new BatchRefused({ detail: "something in it", tooLong: false })
        if (purpose === "document") paid(inputs.length)
        const vectors = inputs.map(({ text }) => directionOf(text))
        if (fault?.kind === "nan")
          return { vectors: vectors.map(([, ...rest]) => [Number.NaN, ...rest]), tokens: 1 }
        return { vectors: fault?.kind === "shape" ? vectors.slice(1) : vectors, tokens: inputs.length }
      })
  })

export const specOf = (model: EmbeddingModelService, chunking: ChunkerSettings): Spec => ({
  engine: "embedded",
  chunker: makeChunker(chunking).fingerprint,
  model: model.fingerprint,
  modelName: model.name,
  dimensions: model.dimensions,
  analyzer: analyzerFor("english").fingerprint,
  payload: 1
})

/** A durable step is where the process may die, or its code fail. `killed` takes what is on disk in that moment. */
export const failpointsOf = (
  process: Process,
  faults: Faults,
  killed: (name: string) => void
): FailpointsService => ({
  hit: (name) => {
    // Code that unwinds in a dead process does not get past another durable step.
    if (!process.alive) throw new FailpointFired("This process is dead.")
    const fault = faults.at("step")
    if (fault === undefined) return
    if (fault.kind === "kill") killed(name)
    throw new FailpointFired(`Failpoint ${name} fired.`)
  }
})

export const busWith = (faults: Faults): Layer.Layer<Bus> =>
  Layer.scoped(
    Bus,
    Effect.gen(function* () {
      return Bus.of(faulty(yield* Bus, yield* Effect.scope, faults))
    })
  ).pipe(Layer.provide(InProcessBus.layer({ ackWait: Duration.seconds(3), capacity: 64 })))

const faulty = (bus: BusService, scope: Scope.Scope, faults: Faults): BusService => {
  const later = (send: Effect.Effect<void, BusUnavailable>, ms: number) =>
    Effect.forkIn(Effect.ignore(Effect.delay(send, Duration.millis(ms))), scope)
  const pass = (send: Effect.Effect<void, BusUnavailable>): Effect.Effect<void, BusUnavailable> =>
    Effect.suspend(() => {
      const fault = faults.at("message")
      if (fault?.kind === "lose") return Effect.void
      if (fault?.kind === "delay") return Effect.asVoid(later(send, fault.ms ?? 0))
      return fault?.kind === "repeat" ? Effect.zipRight(later(send, 50), send) : send
    })
  const delivered = <A>(delivery: Delivery<A>): Delivery<A> => ({ ...delivery, ack: pass(delivery.ack) })
  return {
    ...bus,
    dispatch: (orders) => Effect.forEach(orders, (order) => pass(bus.dispatch([order])), { discard: true }),
    receive: (lane, most) => Effect.map(bus.receive(lane, most), (deliveries) => deliveries.map(delivered)),
    withdraw: (lane, job) => pass(bus.withdraw(lane, job)),
    claim: claimOneByOne((request) =>
      Effect.suspend(() =>
        faults.at("message")?.kind === "lose"
          ? Effect.fail(new BusUnavailable({ bus: "simulated", detail: "No answer came." }))
          : claimOne(bus, request)
      )
    ),
    report: (results) => Effect.forEach(results, (result) => pass(bus.report([result])), { discard: true }),
    results: Stream.map(bus.results, delivered)
  }
}
