/**
 * The bus of a process that may be told to stop: it takes nothing new then, finishes what it has in hand within a bound, and
 * gives the rest back, so that others have it at once and not only when its lease is over.
 */
import { Context, Deferred, type Duration, Effect, Layer, Schedule } from "effect"
import { Bus, type BusService, type Delivery, type WorkOrder } from "./Bus.ts"

export interface DrainingService {
  /** Takes nothing more, and waits for what is in hand. Answers how many orders were given back after `limit`. */
  readonly drain: (limit: Duration.DurationInput) => Effect.Effect<number>
}

export class Draining extends Context.Tag("reprise/bus/Draining")<Draining, DrainingService>() {}

export const layer: Layer.Layer<Bus | Draining, never, Bus> = Layer.effectContext(
  Effect.flatMap(Bus, (bus) =>
    Effect.map(make(bus), ({ draining, whole }) =>
      Context.make(Bus, whole).pipe(Context.add(Draining, draining))
    )
  )
)

/** An order that was received and not acknowledged yet. */
interface InHand {
  readonly delivery: Delivery<WorkOrder>
  /** Who holds its lease; nobody yet, where it was not claimed. */
  worker: string | undefined
}

/** For what was given back to leave. A bus that is away by then finds out by the lease. */
const givingBack = "2 seconds"

const keyOf = ({ attempt, jobId }: { readonly jobId: string; readonly attempt: number }): string =>
  `${jobId}.${attempt}`

const make = Effect.fnUntraced(function* (bus: BusService) {
  const inHand = new Map<string, InHand>()
  const stopped = yield* Deferred.make<void>()
  let stopping = false

  const giveBack = ({ delivery, worker }: InHand) => {
    const { attempt, jobId } = delivery.value
    return bus
      .report([{ _tag: "GivenBack", jobId, attempt, ...(worker !== undefined && { worker }) }])
      .pipe(Effect.zipRight(delivery.ack), Effect.ignore)
  }

  const kept = (delivery: Delivery<WorkOrder>): Delivery<WorkOrder> => {
    const key = keyOf(delivery.value)
    // A copy of what is in hand: it may be acknowledged long before the work is done.
    if (inHand.has(key)) return delivery
    const one: InHand = { delivery, worker: undefined }
    inHand.set(key, one)
    const over = Effect.sync(() => {
      if (inHand.get(key) === one) inHand.delete(key)
    })
    return { ...delivery, ack: Effect.ensuring(delivery.ack, over) }
  }

  /** What arrives in the very moment of the stop goes back: nobody is there to work on it. */
  const taken = (receiving: ReturnType<BusService["receive"]>) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(restore(receiving), (deliveries) =>
        stopping
          ? Effect.as(
              Effect.forEach(deliveries, (delivery) => giveBack({ delivery, worker: undefined })),
              undefined
            )
          : Effect.sync(() => deliveries.map(kept))
      )
    )
  const receive: BusService["receive"] = (lane, most) =>
    Effect.raceFirst(taken(bus.receive(lane, most)), Effect.as(Deferred.await(stopped), undefined)).pipe(
      Effect.flatMap((deliveries) => (deliveries === undefined ? Effect.never : Effect.succeed(deliveries)))
    )

  const whole: BusService = {
    ...bus,
    receive,
    claim: (requests) =>
      Effect.tap(bus.claim(requests), (claims) => {
        for (const [at, request] of requests.entries()) {
          const one = inHand.get(keyOf(request))
          if (claims[at]?._tag === "Granted" && one !== undefined) one.worker = request.worker
        }
      })
  }

  const draining: DrainingService = {
    drain: Effect.fnUntraced(function* (limit) {
      stopping = true
      yield* Deferred.succeed(stopped, undefined)
      yield* Effect.sync(() => inHand.size).pipe(
        Effect.repeat({ while: (size) => size > 0, schedule: Schedule.spaced("20 millis") }),
        Effect.timeoutOption(limit)
      )
      const left = [...inHand.values()]
      yield* Effect.forEach(left, giveBack, { concurrency: "unbounded", discard: true }).pipe(
        Effect.timeoutOption(givingBack)
      )
      return left.length
    })
  }
  return { whole, draining }
})
