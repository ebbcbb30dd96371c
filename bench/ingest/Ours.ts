/**
 * The embedded runtime with its threads, in a process of its own, taking a corpus in: what a benchmark's child does.
 */
import { cpSync } from "node:fs"
import { join } from "node:path"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { Duration, Effect, Fiber, Logger, LogLevel, Schema } from "effect"
import { CodeFingerprint, defaultScope } from "../../events/Ids.ts"
import type { Receipt } from "../../events/Receipt.ts"
import { checkedModel } from "../../src/embedding/CheckedModel.ts"
import type { EmbeddingModelService } from "../../src/embedding/EmbeddingModel.ts"
import { filesIn } from "../../src/runtime/DataDirectory.ts"
import * as Embedded from "../../src/runtime/Embedded.ts"
import { Reader, Writer } from "../../src/runtime/Reprise.ts"
import { Settings } from "../../src/runtime/Settings.ts"

const dimensions = 384

/** A vector made of the text's characters alone, at the cost of reading them: `peers/langchain.js` has the same one. */
const fakeVector = (text: string): ReadonlyArray<number> => {
  let state = 2_166_136_261
  for (let at = 0; at < text.length; at++) state = Math.imul(state ^ text.charCodeAt(at), 16_777_619)
  const vector = new Array<number>(dimensions)
  let sum = 0
  for (let at = 0; at < dimensions; at++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    const value = state / 2_147_483_648
    vector[at] = value
    sum += value * value
  }
  const norm = Math.sqrt(sum)
  for (let at = 0; at < dimensions; at++) vector[at] = (vector[at] ?? 0) / norm
  return vector
}

/** What was asked of the model. */
interface Asked {
  inputs: number
  busyMs: number
  first: number | undefined
  last: number
}

/** With `latencyMs` it takes that long for a batch, and takes one after the other. */
const fakeModel = (asked: Asked, batchSize: number, latencyMs: number): EmbeddingModelService => {
  const one = Effect.unsafeMakeSemaphore(1)
  const answer = (texts: ReadonlyArray<{ readonly text: string }>) =>
    Effect.sync(() => {
      asked.inputs += texts.length
      return { vectors: texts.map(({ text }) => fakeVector(text)), tokens: undefined }
    })
  return checkedModel({
    fingerprint: CodeFingerprint.make("fake-0123456789ab"),
    name: "fake",
    dimensions,
    maxInputTokens: 8192,
    batchSize,
    concurrency: 4,
    denseWeight: 0.2,
    timeout: Duration.minutes(1),
    request: (inputs) =>
      latencyMs === 0
        ? answer(inputs)
        : one.withPermits(1)(
            Effect.gen(function* () {
              const began = performance.now()
              asked.first ??= began
              yield* Effect.sleep(latencyMs)
              const answered = yield* answer(inputs)
              asked.last = performance.now()
              asked.busyMs += asked.last - began
              return answered
            })
          )
  })
}

export interface Ingested {
  readonly documents: number
  readonly chunks: number
  /** Milliseconds from the command to its receipt, which comes when searches see it. */
  readonly first: number
  readonly again: number
  readonly changed: number
  /** Chunks that were embedded for a changed document, on average. */
  readonly embeddedForChanged: number
  /** MiB, of the process with its threads. */
  readonly peak: number
}

const settings = Schema.decodeSync(Settings)({ chunking: { maxTokens: 720, overlapTokens: 72 } })

const withRuntime = <A, E>(
  data: string,
  model: EmbeddingModelService,
  use: Effect.Effect<A, E, Reader | Writer>
): Promise<A> =>
  use.pipe(
    Effect.provide(
      Embedded.layer({
        configuration: { settings, directory: { path: data, origin: "flag", files: filesIn(data, join) } },
        command: "bench",
        model
      })
    ),
    Effect.provide(Logger.minimumLogLevel(LogLevel.Error)),
    Effect.runPromise
  )

const nothingAsked = (): Asked => ({ inputs: 0, busyMs: 0, first: undefined, last: 0 })

const options = { scope: defaultScope, include: [], exclude: [], full: false, stop: undefined }

const complete = (receipt: Receipt): Effect.Effect<Receipt> =>
  receipt.failed + receipt.parked + receipt.held + receipt.skipped > 0
    ? Effect.dieMessage(JSON.stringify(receipt))
    : Effect.succeed(receipt)

const timed = <E, R>(work: Effect.Effect<Receipt, E, R>) =>
  Effect.map(Effect.timed(Effect.flatMap(work, complete)), ([elapsed, receipt]) => ({
    elapsed: Duration.toMillis(elapsed),
    receipt
  }))

const peakMiB = (): number => Math.round(process.resourceUsage().maxRSS / 1024)

/** A first ingest, the same again, and again once what lies in `changed` was copied over it. */
export const ingest = (data: string, root: string, changed: string): Promise<Ingested> => {
  const asked = nothingAsked()
  return withRuntime(
    data,
    fakeModel(asked, 64, 0),
    Effect.gen(function* () {
      const writer = yield* Writer
      const first = yield* timed(writer.add([root], options))
      const again = yield* timed(writer.sync([], { ...options, approveRemovals: false }))
      if (again.receipt.unchanged !== first.receipt.added)
        return yield* Effect.dieMessage(JSON.stringify(again.receipt))
      const { chunks, documents } = yield* (yield* Reader).status(defaultScope)
      cpSync(changed, root, { recursive: true })
      const before = asked.inputs
      const some = yield* timed(writer.sync([], { ...options, approveRemovals: false }))
      return {
        documents,
        chunks,
        first: first.elapsed,
        again: again.elapsed,
        changed: some.elapsed,
        embeddedForChanged: (asked.inputs - before) / Math.max(1, some.receipt.updated),
        peak: peakMiB()
      }
    })
  )
}

/** The share of the time from the first batch to the last that the provider was at work: 30 ms for a batch of 32. */
export const busy = (
  data: string,
  root: string
): Promise<{ readonly busy: number; readonly inputs: number }> => {
  const asked = nothingAsked()
  return withRuntime(
    data,
    fakeModel(asked, 32, 30),
    Effect.gen(function* () {
      yield* timed((yield* Writer).add([root], options))
      return { busy: asked.busyMs / (asked.last - (asked.first ?? 0)), inputs: asked.inputs }
    })
  )
}

export interface Blocking {
  /** Milliseconds for which the main thread took no turn, at most, while it took in and searched. */
  readonly longestBlock: number
  readonly searches: number
  readonly searchP50: number
  readonly searchP99: number
}

/** A first ingest beside searches, one after the other. */
export const blocking = (data: string, root: string): Promise<Blocking> =>
  withRuntime(
    data,
    fakeModel(nothingAsked(), 64, 0),
    Effect.gen(function* () {
      const reader = yield* Reader
      const times: Array<number> = []
      const search = Effect.suspend(() => {
        const began = performance.now()
        return Effect.map(
          reader.search({
            scope: defaultScope,
            query: "document new sentence",
            mode: "hybrid",
            limit: 10,
            filter: {},
            waitMs: 5000
          }),
          () => times.push(performance.now() - began)
        )
      })
      yield* search
      const searching = yield* Effect.fork(Effect.forever(Effect.zipRight(search, Effect.sleep("20 millis"))))
      const delay = monitorEventLoopDelay({ resolution: 1 })
      delay.enable()
      yield* timed((yield* Writer).add([root], options))
      delay.disable()
      yield* Fiber.interrupt(searching)
      times.sort((one, other) => one - other)
      const at = (share: number) => times[Math.floor(share * (times.length - 1))] ?? Number.NaN
      return {
        longestBlock: delay.max / 1e6,
        searches: times.length,
        searchP50: at(0.5),
        searchP99: at(0.99)
      }
    })
  )
