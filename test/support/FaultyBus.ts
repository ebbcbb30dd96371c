/** A bus that loses, repeats, delays and so reorders what passes, by seed: time is lost by it, never truth. */
import { Effect, Layer, Random, type Scope, Stream } from "effect"
import { Bus, type BusService, BusUnavailable, claimOneByOne, type Delivery } from "../../src/bus/Bus.ts"
import { claimOne } from "./claimOne.ts"

export interface FaultRates {
  /** Shares between 0 and 1. */
  readonly loss: number
  readonly repeat: number
  readonly delay: number
  /** Claims that fail for want of an answer. */
  readonly unanswered: number
  readonly longestDelayMs: number
}

export const layer = (inner: Layer.Layer<Bus>, seed: number, rates: FaultRates): Layer.Layer<Bus> =>
  Layer.scoped(
    Bus,
    Effect.gen(function* () {
      const bus = yield* Bus
      const scope = yield* Effect.scope
      return Bus.of(faulty(bus, Random.make(seed), scope, rates))
    })
  ).pipe(Layer.provide(inner))

const faulty = (
  bus: BusService,
  random: Random.Random,
  scope: Scope.Scope,
  rates: FaultRates
): BusService => {
  const happens = (share: number) => Effect.map(random.next, (value) => value < share)
  const later = (send: Effect.Effect<void, BusUnavailable>) =>
    Effect.flatMap(random.nextRange(0, rates.longestDelayMs), (ms) =>
      Effect.forkIn(Effect.ignore(Effect.delay(send, ms)), scope)
    )
  /** A message on its way. */
  const pass = (send: Effect.Effect<void, BusUnavailable>): Effect.Effect<void, BusUnavailable> =>
    Effect.gen(function* () {
      if (yield* happens(rates.loss)) return
      if (yield* happens(rates.repeat)) yield* later(send)
      if (yield* happens(rates.delay)) yield* later(send)
      else yield* send
    })
  const delivered = <A>(delivery: Delivery<A>): Delivery<A> => ({ ...delivery, ack: pass(delivery.ack) })
  return {
    ...bus,
    dispatch: (orders) => Effect.forEach(orders, (order) => pass(bus.dispatch([order])), { discard: true }),
    receive: (lane, most) => Effect.map(bus.receive(lane, most), (deliveries) => deliveries.map(delivered)),
    withdraw: (lane, job) => pass(bus.withdraw(lane, job)),
    claim: claimOneByOne((request) =>
      Effect.flatMap(happens(rates.unanswered), (lost) =>
        lost
          ? Effect.fail(new BusUnavailable({ bus: "faulty", detail: "No answer came." }))
          : claimOne(bus, request)
      )
    ),
    report: (results) => Effect.forEach(results, (result) => pass(bus.report([result])), { discard: true }),
    results: Stream.map(bus.results, delivered)
  }
}
