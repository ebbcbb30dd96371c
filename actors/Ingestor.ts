/**
 * Prepares documents: takes orders from the bus, parses and chunks from content alone, and reports. It changes nothing
 * official, so any number of slots may run anywhere.
 */
import { Duration, Effect, Layer, Schema } from "effect"
import { Descriptor } from "../events/Document.ts"
import { Bus, type BusUnavailable, type PrepareOrder, type WorkResult } from "../src/bus/Bus.ts"
import { Content } from "../src/log/Content.ts"
import type { LogFailed } from "../src/log/Log.ts"
import { type Inbox, spawn } from "./Actor.ts"
import { Preparer } from "./Ingestor/Preparer.ts"
import type { Supervisor } from "./Supervisor.ts"

export interface IngestorSettings {
  /** Names its workers; unique among all that serve one Coordinator. */
  readonly name: string
  /** Documents prepared at a time. */
  readonly slots: number
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

      const take = (
        worker: string,
        inbox: Inbox<never>,
        inHand: Map<string, Effect.Effect<unknown, BusUnavailable>>
      ) =>
        Effect.gen(function* () {
          const delivery = yield* bus.receive("prepare")
          const order = delivery.value
          if (order.lane !== "prepare") return yield* delivery.ack
          const code = preparer.chunkers.has(order.chunker)
            ? order.chunker
            : ([...preparer.chunkers.keys()][0] ?? order.chunker)
          const asking = bus.claim({
            lane: "prepare",
            jobId: order.jobId,
            attempt: order.attempt,
            worker,
            code,
            ...(settings.version !== undefined && { version: settings.version })
          })
          const claim = yield* asking
          // It is sent again at once, and comes to others while this one keeps away.
          if (claim._tag === "Refused" && claim.unfit === true) {
            yield* Effect.logWarning("this worker is not fit for the work there is", claim.reason)
            yield* delivery.ack
            return yield* Effect.sleep(settings.unfitPause)
          }
          if (claim._tag === "Granted") {
            inHand.set(worker, Effect.zipRight(delivery.inProgress, asking))
            const result = yield* Effect.tap(prepare(order, worker), bus.report).pipe(
              Effect.ensuring(Effect.sync(() => inHand.delete(worker)))
            )
            if (result._tag === "Failed") inbox.failed(`${result.code}: ${result.message}`)
            inbox.done(1)
          }
          yield* delivery.ack
        }).pipe(
          Effect.catchTag("BusUnavailable", (away) =>
            Effect.zipRight(Effect.logWarning("the bus is away", away.message), Effect.sleep("1 second"))
          )
        )

      /** Bus and Coordinator hear a sign of life of each order that is worked on. */
      const beat = (inHand: ReadonlyMap<string, Effect.Effect<unknown, BusUnavailable>>) =>
        Effect.suspend(() => Effect.forEach([...inHand.values()], Effect.ignore, { discard: true })).pipe(
          Effect.delay(settings.heartbeat),
          Effect.forever
        )

      const prepare = (order: PrepareOrder, worker: string): Effect.Effect<WorkResult> => {
        const { attempt, jobId } = order
        const failed = (code: string, message: string, retryable: boolean): WorkResult => ({
          _tag: "Failed",
          jobId,
          attempt,
          worker,
          code,
          message,
          retryable
        })
        return Effect.gen(function* () {
          const bodies = yield* read(order)
          const settingsOf = preparer.chunkers.get(order.chunker)
          if (bodies === undefined || settingsOf === undefined) {
            return failed("content-missing", "Its bytes are not stored any more.", false)
          }
          const answer = yield* preparer.prepare({
            documentId: order.documentId,
            raw: bodies.raw,
            descriptor: bodies.descriptor,
            chunker: settingsOf
          })
          switch (answer._tag) {
            case "Prepared":
              return {
                _tag: "Prepared",
                jobId,
                attempt,
                worker,
                descriptor: answer.descriptor,
                text: answer.text,
                manifest: answer.manifest
              } satisfies WorkResult
            case "Skipped":
              return {
                _tag: "Skipped",
                jobId,
                attempt,
                worker,
                reason: answer.reason,
                detail: answer.detail
              } satisfies WorkResult
            case "Unparseable":
              return failed(answer.code, answer.message, false)
          }
        }).pipe(
          Effect.catchTags({
            // A fault of the disk is none of the document's.
            LogFailed: ({ message }) =>
              Effect.succeed<WorkResult>({
                _tag: "Postponed",
                jobId,
                attempt,
                worker,
                message,
                refused: false
              }),
            PreparerFailed: (error) => Effect.succeed(failed(error.code, error.detail, true))
          }),
          Effect.catchAllDefect((defect) =>
            Effect.succeed(failed("worker-failed", defect instanceof Error ? defect.name : "defect", true))
          )
        )
      }

      const read = Effect.fnUntraced(function* ({
        descriptor,
        raw,
        scope
      }: PrepareOrder): Effect.fn.Return<
        { readonly raw: Uint8Array; readonly descriptor: Descriptor } | undefined,
        LogFailed
      > {
        const bytes = yield* content.blob(scope, raw)
        const described = yield* content.blob(scope, descriptor)
        if (bytes === undefined || described === undefined) return undefined
        return { raw: bytes, descriptor: decodeDescriptor(new TextDecoder().decode(described)) }
      })

      yield* spawn<never, never, never>({
        name: settings.name,
        capacity: 1,
        behaviour: (inbox) =>
          Effect.suspend(() => {
            const inHand = new Map<string, Effect.Effect<unknown, BusUnavailable>>()
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

/** Stored by the Coordinator, from a command that was decoded: one that does not decode is a defect. */
const decodeDescriptor = Schema.decodeSync(Schema.parseJson(Descriptor))
