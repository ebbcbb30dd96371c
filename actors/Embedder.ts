/**
 * Turns chunk inputs into vectors: takes orders from the bus, gathers what documents of one project need into batches as
 * large as the model takes, and reports each batch.
 *
 * There is no timer: a full batch goes out as soon as a slot is free, a partial one when nothing more waits. A provider
 * that asks for patience is waited for; one that is away or refuses everything is nobody's fault, and its orders go back.
 */
import { Duration, Effect, Either, Layer, Schedule } from "effect"
import { type CodeFingerprint, type Digest, scopeKey, sha256 } from "../events/Ids.ts"
import { acknowledge, Bus, type BusUnavailable, type ClaimRequest, type WorkResult } from "../src/bus/Bus.ts"
import { monotonicMs } from "../src/clock/Monotonic.ts"
import { type Embedded, EmbeddingModel, type ProviderError } from "../src/embedding/EmbeddingModel.ts"
import { confirmSameModel, probe, probeKey } from "../src/embedding/Probe.ts"
import { Content, type ContentService } from "../src/log/Content.ts"
import type { LogFailed } from "../src/log/Log.ts"
import { spawn } from "./Actor.ts"
import { Batches, type Gathered, longestFor, type Taken } from "./Embedder/Batches.ts"
import { readInputs, type Unreadable } from "./Embedder/readInputs.ts"
import type { Supervisor } from "./Supervisor.ts"

export interface EmbedderSettings {
  /** Unique among all that serve one Coordinator. */
  readonly name: string
  /** How often bus and Coordinator hear that an order is still being worked on. */
  readonly heartbeat: Duration.Duration
  /** The longest that a provider's request for patience is followed before it is asked again. */
  readonly longestPause: Duration.Duration
  /** How long a worker leaves work alone that it is not fit for. */
  readonly unfitPause: Duration.Duration
  /** Of the program, for people who run workers of several. */
  readonly version?: string
}

export const usualSettings: EmbedderSettings = {
  name: "embedder",
  heartbeat: Duration.seconds(10),
  longestPause: Duration.minutes(5),
  unfitPause: Duration.seconds(30)
}

export const layer = (
  settings: EmbedderSettings = usualSettings
): Layer.Layer<never, never, Bus | Content | EmbeddingModel | Supervisor> =>
  Layer.scopedDiscard(
    Effect.gen(function* () {
      const bus = yield* Bus
      const content = yield* Content
      const model = yield* EmbeddingModel
      const worker = settings.name

      const claimOf = ({ order }: Taken, code: CodeFingerprint): ClaimRequest => ({
        lane: "embed",
        jobId: order.jobId,
        attempt: order.attempt,
        worker,
        code,
        ...(settings.version !== undefined && { version: settings.version })
      })

      /** Takes the next orders and gathers the inputs of those that may be worked on. */
      const takeOrders = (batches: Batches) =>
        Effect.gen(function* () {
          yield* batches.untilRoom
          const deliveries = yield* batches.asWaiting(bus.receive("embed", ordersTogether))
          const asked: Array<Taken> = []
          const over: Array<Pick<Taken, "delivery">> = []
          for (const delivery of deliveries) {
            const order = delivery.value
            // A copy of what is in hand, since the bus did not hear of it for a while: this name has its lease already, and
            // what it asks for would be paid for again.
            if (order.lane === "embed" && !batches.has(order))
              asked.push({ order, delivery, left: new Set(order.inputs) })
            else over.push({ delivery })
          }
          const requests = asked.map((taken) => claimOf(taken, model.fingerprint))
          const answer = requests.length === 0 ? Either.right([]) : yield* Effect.either(bus.claim(requests))
          const gathered: Array<readonly [Taken, ReadonlyMap<Digest, string>]> = []
          let unfit: string | undefined
          // What is left comes again; what was granted so far is worked on.
          let away = Either.isLeft(answer) ? answer.left : undefined
          for (const [at, claim] of Either.getOrElse(answer, () => []).entries()) {
            const taken = asked[at]
            if (taken === undefined) continue
            if (claim._tag === "Refused") {
              if (claim.unfit === true) unfit = claim.reason
              over.push(taken)
              continue
            }
            const texts = yield* Effect.either(readInputs(content, taken.order))
            if (Either.isRight(texts) && texts.right.size > 0) {
              gathered.push([taken, texts.right])
              continue
            }
            const told = yield* Effect.either(Either.isLeft(texts) ? tell(taken, texts.left) : Effect.void)
            if (Either.isLeft(told)) {
              away = told.left
              break
            }
            over.push(taken)
          }
          yield* batches.add(gathered, model)
          yield* acknowledge(over.map(({ delivery }) => delivery))
          if (away !== undefined) return yield* away
          if (unfit === undefined) return
          // It is sent again at once, and comes to others while this one keeps away. What it has goes out meanwhile.
          yield* Effect.logWarning("this worker is not fit for the work there is", unfit)
          yield* batches.asWaiting(Effect.sleep(settings.unfitPause))
        }).pipe(awayFromBus)

      /** Its texts cannot be read. */
      const tell = (taken: Taken, error: Unreadable | LogFailed) =>
        error._tag === "LogFailed"
          ? postpone(taken, unread(error))
          : fail(taken, error.code, error.message, error.retryable)

      const fail = ({ order }: Taken, code: string, message: string, retryable: boolean) =>
        bus.report([
          { _tag: "Failed", jobId: order.jobId, attempt: order.attempt, worker, code, message, retryable }
        ])

      const postpone = ({ order }: Taken, { message, provider, refused }: Omit<Away, "_tag">) =>
        bus.report([
          {
            _tag: "Postponed",
            jobId: order.jobId,
            attempt: order.attempt,
            worker,
            ...(provider !== undefined && { provider }),
            message,
            refused
          }
        ])

      /** Bus and Coordinator hear of progress, for orders in hand and for those that wait for their turn. */
      const beat = (batches: Batches) =>
        Effect.suspend(() =>
          Effect.forEach(batches.orders(), (taken) => Effect.ignore(alive(batches, taken)), { discard: true })
        ).pipe(Effect.delay(settings.heartbeat), Effect.forever)

      /** One that is cancelled, superseded or somebody else's by now is not paid for any further. */
      const alive = (batches: Batches, taken: Taken) =>
        Effect.gen(function* () {
          yield* taken.delivery.inProgress
          const [claim] = yield* bus.claim([claimOf(taken, taken.order.model)])
          if (claim?._tag !== "Refused") return
          batches.drop(taken)
          yield* taken.delivery.ack
        })

      const embed = (batch: Gathered, confirm: Confirm): Effect.Effect<Answered | Failed | Away> =>
        Effect.gen(function* () {
          // Outside of the batch's time: who waits for another batch to find out about the provider is not late.
          const probed = yield* confirm(batch)
          const inputs = batch.items.map(({ input, text }) => ({ id: input, text }))
          return yield* Effect.timeoutTo(batch.model.embed(inputs), {
            duration: longestFor(batch),
            onSuccess: (embedded): Answered | Failed => ({ ...embedded, probed }),
            onTimeout: (): Answered | Failed => ({
              _tag: "Failed",
              code: "timed-out",
              message: `${batch.model.name} did not come to an end with its batch in time.`
            })
          })
        }).pipe(
          Effect.catchTags({
            ProviderUnavailable: ({ message, provider }) =>
              Effect.succeed<Away>({ _tag: "Away", provider, message, refused: false }),
            ProviderRefused: ({ message, provider }) =>
              Effect.succeed<Away>({ _tag: "Away", provider, message, refused: true }),
            LogFailed: (error) => Effect.succeed<Away>({ _tag: "Away", ...unread(error) }),
            ProviderBusy: ({ retryAfterMs }) =>
              Effect.delay(
                Effect.suspend(() => embed(batch, confirm)),
                Duration.min(Duration.millis(Math.max(10, retryAfterMs)), settings.longestPause)
              )
          }),
          Effect.catchAllDefect((defect) =>
            Effect.succeed<Failed>({
              _tag: "Failed",
              code: "worker-failed",
              message: defect instanceof Error ? defect.name : "defect"
            })
          )
        )

      const sendBatch = (
        batches: Batches,
        confirm: Confirm,
        inbox: { readonly done: (count: number) => void; readonly failed: (reason: string) => void }
      ) =>
        Effect.gen(function* () {
          const batch = yield* batches.next
          const began = yield* monotonicMs
          const outcome = yield* embed(batch, confirm)
          if ("_tag" in outcome) {
            inbox.failed(outcome.message)
            for (const taken of batches.giveUp(batch)) {
              if (outcome._tag === "Away") yield* postpone(taken, outcome)
              else yield* fail(taken, outcome.code, outcome.message, true)
              yield* taken.delivery.ack
            }
            return
          }
          const elapsedMs = Math.round((yield* monotonicMs) - began)
          const result = vectorsOf(batch, batches.answered(batch), outcome, worker, elapsedMs)
          if (result.vectors.length > 0)
            yield* Effect.tapError(bus.report([result]), () =>
              // Nobody has the vectors: who keeps the leases now would keep the orders from everybody.
              Effect.sync(() => batches.giveUp(batch))
            )
          const refusals = new Map(outcome.refused.flatMap((one) => one.inputs.map((input) => [input, one])))
          const done = batches.finish(batch, (input) => refusals.has(input))
          for (const { input, taken } of done.refused) {
            const refusal = refusals.get(input)
            yield* fail(
              taken,
              "input-refused",
              refusal?.detail ?? "It was refused.",
              refusal?.retryable ?? false
            )
          }
          yield* acknowledge(done.over.map(({ delivery }) => delivery))
          inbox.done(1)
        }).pipe(awayFromBus)

      yield* spawn<never, never, never>({
        name: settings.name,
        capacity: 1,
        behaviour: (inbox) =>
          Effect.suspend(() => {
            const batches = new Batches()
            const confirm = confirming(content)
            return Effect.all(
              [
                Effect.repeat(takeOrders(batches), Schedule.forever),
                beat(batches),
                ...Array.from({ length: model.concurrency }, () =>
                  Effect.repeat(sendBatch(batches, confirm, inbox), Schedule.forever)
                )
              ],
              { concurrency: "unbounded", discard: true }
            )
          })
      })
    })
  )

/** Orders that are taken from the bus at a time, as far as it hands out several. */
const ordersTogether = 32

interface Answered extends Embedded {
  /** The probe's vector, where none was recorded yet. */
  readonly probed: Float32Array | undefined
}

/**
 * Fails where another model answers than the one that made what the project has. Answers the probe's vector for as long as none is
 * recorded: a later process compares with it.
 */
type Confirm = (batch: Gathered) => Effect.Effect<Float32Array | undefined, ProviderError | LogFailed>

/** Asks once for each project and model in the life of a worker, before its first batch. */
const confirming = (content: ContentService): Confirm => {
  const confirmed = new Set<string>()
  const probes = new Map<string, Float32Array>()
  const one = Effect.unsafeMakeSemaphore(1)
  return ({ model, scope }) =>
    Effect.gen(function* () {
      const key = `${scopeKey(scope)}/${model.fingerprint}`
      if (model.probed !== true || confirmed.has(key)) return undefined
      const [recorded] = yield* content.vectors(scope, model.fingerprint, [probeKey])
      const own = probes.get(key)
      if (recorded === undefined) {
        const vector = own ?? (yield* probe(model))
        probes.set(key, vector)
        return vector
      }
      // It may be that of another worker, which began at the same time.
      yield* confirmSameModel(model, recorded, own)
      confirmed.add(key)
      probes.delete(key)
      return undefined
    }).pipe(one.withPermits(1))
}

/** A whole batch brought nothing, and may the next time. */
interface Failed {
  readonly _tag: "Failed"
  readonly code: string
  readonly message: string
}

/** The provider could not be asked, or refused as it would refuse anything; or content could not be read. */
interface Away {
  readonly _tag: "Away"
  /** Absent where it was the content. */
  readonly provider: string | undefined
  readonly message: string
  readonly refused: boolean
}

/** A fault of the disk is none of the documents'. */
const unread = ({ message }: LogFailed): Omit<Away, "_tag"> => ({
  provider: undefined,
  message,
  refused: false
})

const awayFromBus = <A, R>(effect: Effect.Effect<A, BusUnavailable, R>) =>
  Effect.catchTag(effect, "BusUnavailable", (away) =>
    Effect.zipRight(Effect.logWarning("the bus is away", away.message), Effect.sleep("1 second"))
  )

const vectorsOf = (
  batch: Gathered,
  orders: ReadonlyArray<Taken>,
  embedded: Answered,
  worker: string,
  elapsedMs: number
): Extract<WorkResult, { readonly _tag: "Vectors" }> => {
  const vectors = batch.items.flatMap(({ input }, at) => {
    const vector = embedded.vectors[at]
    return vector === undefined ? [] : [{ inputHash: input, vector }]
  })
  const probed = embedded.probed === undefined ? [] : [{ inputHash: probeKey, vector: embedded.probed }]
  const jobs = orders.map(({ order }) => ({ jobId: order.jobId, attempt: order.attempt }))
  return {
    _tag: "Vectors",
    // The same batch has the same id however often it is reported.
    batchId: sha256(JSON.stringify([batch.model.fingerprint, jobs, batch.items.map(({ input }) => input)])),
    scope: batch.scope,
    model: batch.model.fingerprint,
    worker,
    jobs,
    vectors: [...vectors, ...probed],
    tokens: Math.round(embedded.tokens),
    elapsedMs
  }
}
