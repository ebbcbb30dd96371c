/**
 * Prepares documents: takes orders from the bus, parses and chunks from content alone, and reports. It changes nothing
 * official, so any number of slots may run anywhere.
 */
import { Cause, Duration, Effect, Either, Layer } from "effect"
import {
  acknowledge,
  Bus,
  type BusUnavailable,
  type Claim,
  type ClaimRequest,
  type Delivery,
  type PrepareOrder,
  type WorkOrder,
  type WorkResult
} from "../src/bus/Bus.ts"
import type { PrepareAnswer } from "../src/documents/PrepareOperation.ts"
import { readDescriptor } from "../src/documents/StoredTexts.ts"
import { Content } from "../src/log/Content.ts"
import { type Inbox, spawn } from "./Actor.ts"
import { Preparer, type ToPrepare } from "./Ingestor/Preparer.ts"
import type { Supervisor } from "./Supervisor.ts"

export interface IngestorSettings {
  /** Names its workers; unique among all that serve one Coordinator. */
  readonly name: string
  /** Workers that prepare at a time. */
  readonly slots: number
  /** Orders that each of them takes together, as far as the bus hands out several. */
  readonly together: number
  /** How often bus and Coordinator hear that an order is still being worked on. */
  readonly heartbeat: Duration.Duration
  /** How long a worker leaves work alone that it is not fit for. */
  readonly unfitPause: Duration.Duration
  /** Of the program, for people who run workers of several. */
  readonly version?: string
}

export const usualSettings: IngestorSettings = {
  name: "ingestor",
  slots: 2,
  together: 32,
  heartbeat: Duration.seconds(10),
  unfitPause: Duration.seconds(30)
}

export const layer = (
  settings: IngestorSettings = usualSettings
): Layer.Layer<never, never, Bus | Content | Preparer | Supervisor> =>
  Layer.scopedDiscard(
    Effect.gen(function* () {
      const bus = yield* Bus
      const content = yield* Content
      const preparer = yield* Preparer

      /** Those that this worker may work on; what else came is acknowledged. */
      const claimAll = Effect.fnUntraced(function* (
        worker: string,
        deliveries: ReadonlyArray<Delivery<WorkOrder>>
      ): Effect.fn.Return<
        {
          readonly claimed: ReadonlyArray<Claimed>
          readonly unfit: string | undefined
          /** Nobody answered any more. */
          readonly away: BusUnavailable | undefined
        },
        BusUnavailable
      > {
        const orders: Array<{ readonly delivery: Delivery<WorkOrder>; readonly order: PrepareOrder }> = []
        const over: Array<Delivery<WorkOrder>> = []
        for (const delivery of deliveries) {
          const order = delivery.value
          if (order.lane === "prepare") orders.push({ delivery, order })
          else over.push(delivery)
        }
        const requests = orders.map(({ order }): ClaimRequest => {
          const code = preparer.chunkers.has(order.chunker)
            ? order.chunker
            : ([...preparer.chunkers.keys()][0] ?? order.chunker)
          return {
            lane: "prepare",
            jobId: order.jobId,
            attempt: order.attempt,
            worker,
            code,
            ...(settings.version !== undefined && { version: settings.version })
          }
        })
        const answer: Either.Either<ReadonlyArray<Claim>, BusUnavailable> = requests.length === 0
          ? Either.right([])
          : yield* Effect.either(bus.claim(requests))
        const claims = Either.getOrElse(answer, () => [])
        const claimed: Array<Claimed> = []
        let unfit: string | undefined
        for (const [at, claim] of claims.entries()) {
          const [one, request] = [orders[at], requests[at]]
          if (one === undefined || request === undefined) continue
          const { delivery, order } = one
          if (claim._tag === "Granted") {
            const alive = Effect.zipRight(delivery.inProgress, bus.claim([request]))
            claimed.push({ order, delivery, alive })
            continue
          }
          if (claim.unfit === true) unfit = claim.reason
          over.push(delivery)
        }
        yield* acknowledge(over)
        // What is left comes again; what was granted so far is worked on.
        return { claimed, unfit, away: Either.isLeft(answer) ? answer.left : undefined }
      })

      const take = (worker: string, inbox: Inbox<never>, inHand: Set<Claimed>) =>
        Effect.gen(function* () {
          const { away, claimed, unfit } = yield* claimAll(
            worker,
            yield* bus.receive("prepare", settings.together)
          )
          for (const one of claimed) inHand.add(one)
          const report: Report = (made) =>
            Effect.flatMap(bus.report(made.map(({ result }) => result)), () => {
              for (const { one, result } of made) {
                inHand.delete(one)
                if (result._tag === "Failed") inbox.failed(`${result.code}: ${result.message}`)
              }
              inbox.done(made.length)
              return acknowledge(made.map(({ one }) => one.delivery))
            })
          yield* prepareAll(claimed, worker, report).pipe(
            Effect.ensuring(
              Effect.sync(() => {
                for (const one of claimed) inHand.delete(one)
              })
            )
          )
          if (away !== undefined) return yield* away
          if (unfit === undefined) return
          // It is sent again at once, and comes to others while this one keeps away.
          yield* Effect.logWarning("this worker is not fit for the work there is", unfit)
          yield* Effect.sleep(settings.unfitPause)
        }).pipe(
          Effect.catchTag("BusUnavailable", (away) =>
            Effect.zipRight(Effect.logWarning("the bus is away", away.message), Effect.sleep("1 second"))
          )
        )

      /** Bus and Coordinator hear a sign of life of each order that is worked on. */
      const beat = (inHand: ReadonlySet<Claimed>) =>
        Effect.suspend(() =>
          Effect.forEach([...inHand], ({ alive }) => Effect.ignore(alive), { discard: true })
        ).pipe(Effect.delay(settings.heartbeat), Effect.forever)

      const prepareAll = Effect.fnUntraced(function* (
        claimed: ReadonlyArray<Claimed>,
        worker: string,
        report: Report
      ): Effect.fn.Return<void, BusUnavailable> {
        let ready: Array<Ready> = []
        let bytes = 0
        const go = Effect.suspend(() => {
          const now = ready
          ready = []
          bytes = 0
          return Effect.flatMap(together(now, worker), (results) =>
            report(
              now.flatMap(({ one }, at) => {
                const result = results[at]
                return result === undefined ? [] : [{ one, result }]
              })
            )
          )
        })
        const documents = yield* toPrepareAll(claimed, worker)
        for (const [at, one] of claimed.entries()) {
          const document = documents[at]
          if (document === undefined) continue
          if ("_tag" in document) {
            yield* report([{ one, result: document }])
            continue
          }
          if (ready.length > 0 && bytes + document.raw.length > mostTogether) yield* go
          ready.push({ one, document })
          bytes += document.raw.length
        }
        if (ready.length > 0) yield* go
      })

      /** Where several together fail, each is tried alone: the fault is that of one of them. */
      const together = (
        ready: ReadonlyArray<Ready>,
        worker: string
      ): Effect.Effect<ReadonlyArray<WorkResult>> => {
        const oneByOne = Effect.forEach(ready, (one) => alone(one, worker))
        if (ready.length === 1) return oneByOne
        return preparer.prepareAll(ready.map(({ document }) => document)).pipe(
          Effect.map((answers) =>
            ready.map(({ one }, at) => {
              const answer = answers[at]
              return answer === undefined
                ? failed(one.order, worker, "worker-failed", "No answer came.", true)
                : resultOf(one.order, worker, answer)
            })
          ),
          Effect.catchAllCause((cause) => (Cause.isInterruptedOnly(cause) ? Effect.interrupt : oneByOne))
        )
      }

      const alone = ({ document, one }: Ready, worker: string): Effect.Effect<WorkResult> =>
        preparer.prepare(document).pipe(
          Effect.map((answer) => resultOf(one.order, worker, answer)),
          Effect.catchTag("PreparerFailed", (error) =>
            Effect.succeed(failed(one.order, worker, error.code, error.detail, true))
          ),
          Effect.catchAllDefect((defect) => Effect.succeed(broken(one.order, worker, defect)))
        )

      /** Of each its bodies, or what is to be said where it cannot be worked on: one that fails leaves the others alone. */
      const toPrepareAll = (
        claimed: ReadonlyArray<Claimed>,
        worker: string
      ): Effect.Effect<ReadonlyArray<ToPrepare | WorkResult>> => {
        const found: Array<ToPrepare | WorkResult> = []
        const next = () => claimed[found.length]
        const goOnWith = (resultFor: (order: PrepareOrder) => WorkResult): Effect.Effect<void> => {
          const one = next()
          if (one === undefined) return Effect.void
          found.push(resultFor(one.order))
          return rest
        }
        const rest: Effect.Effect<void> = Effect.gen(function* () {
          for (let one = next(); one !== undefined; one = next()) {
            const { descriptor, raw, scope } = one.order
            const bytes = yield* content.blob(scope, raw)
            found.push(documentOf(one.order, worker, bytes, yield* content.blob(scope, descriptor)))
          }
        }).pipe(
          // A fault of the disk is none of the document's.
          Effect.catchTag("LogFailed", ({ message }) =>
            goOnWith(({ attempt, jobId }) => {
              return { _tag: "Postponed", jobId, attempt, worker, message, refused: false }
            })
          ),
          Effect.catchAllDefect((defect) => goOnWith((order) => broken(order, worker, defect)))
        )
        return Effect.as(rest, found)
      }

      const documentOf = (
        order: PrepareOrder,
        worker: string,
        raw: Uint8Array | undefined,
        described: Uint8Array | undefined
      ): ToPrepare | WorkResult => {
        const chunker = preparer.chunkers.get(order.chunker)
        if (raw === undefined || described === undefined || chunker === undefined)
          return failed(order, worker, "content-missing", "Its bytes are not stored any more.", false)
        const descriptor = readDescriptor(described)
        // Stored by the Coordinator, from a command that was decoded: one that does not decode is a defect.
        if (descriptor === undefined) throw new TypeError("A stored descriptor cannot be read.")
        return { documentId: order.documentId, raw, descriptor, chunker }
      }

      yield* spawn<never, never, never>({
        name: settings.name,
        capacity: 1,
        behaviour: (inbox) =>
          Effect.suspend(() => {
            const inHand = new Set<Claimed>()
            const workers = Array.from(
              { length: settings.slots },
              (_, slot) => `${settings.name}-${slot + 1}`
            )
            return Effect.all(
              [beat(inHand), ...workers.map((worker) => Effect.forever(take(worker, inbox, inHand)))],
              { concurrency: "unbounded", discard: true }
            )
          })
      })
    })
  )

/** An order that this process works on. */
interface Claimed {
  readonly order: PrepareOrder
  readonly delivery: Delivery<WorkOrder>
  /** Bus and Coordinator hear that it is still worked on. */
  readonly alive: Effect.Effect<unknown, BusUnavailable>
}

type Report = (
  made: ReadonlyArray<{ readonly one: Claimed; readonly result: WorkResult }>
) => Effect.Effect<void, BusUnavailable>

interface Ready {
  readonly one: Claimed
  readonly document: ToPrepare
}

/** Bytes of documents that are prepared together: each waits for all of them. */
const mostTogether = 256 * 1024

const failed = (
  { attempt, jobId }: PrepareOrder,
  worker: string,
  code: string,
  message: string,
  retryable: boolean
): WorkResult => ({ _tag: "Failed", jobId, attempt, worker, code, message, retryable })

const broken = (order: PrepareOrder, worker: string, defect: unknown): WorkResult =>
  failed(order, worker, "worker-failed", defect instanceof Error ? defect.name : "defect", true)

const resultOf = (order: PrepareOrder, worker: string, answer: PrepareAnswer): WorkResult => {
  const { attempt, jobId } = order
  switch (answer._tag) {
    case "Prepared": {
      const { descriptor, manifest, text } = answer
      return { _tag: "Prepared", jobId, attempt, worker, descriptor, text, manifest }
    }
    case "Skipped":
      return { _tag: "Skipped", jobId, attempt, worker, reason: answer.reason, detail: answer.detail }
    case "Unparseable":
      return failed(order, worker, answer.code, answer.message, false)
  }
}
