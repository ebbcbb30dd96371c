/**
 * The bus of a single process: queues in memory, with the same promises as a server's. At least once: what is not
 * acknowledged in time is delivered again. Bounded: a full queue makes its sender wait.
 *
 * Nothing survives the process, which costs time and never truth: the Coordinator hands out again what the log says is
 * open.
 */
import { Chunk, Deferred, Duration, Effect, FiberId, Layer, PubSub, Stream } from "effect"
import type { StoredEvent } from "../../events/Envelope.ts"
import type { Lane } from "../../events/Job.ts"
import { monotonicMs } from "../clock/Monotonic.ts"
import {
  AtOnce,
  Bus,
  type BusOptions,
  type BusService,
  BusUnavailable,
  type Delivery,
  type WorkOrder,
  type WorkResult
} from "./Bus.ts"

export const usualOptions: BusOptions = { ackWait: Duration.seconds(30), capacity: 4096 }

const resultsTogether = 256

export const layer = (options: BusOptions = usualOptions): Layer.Layer<Bus> =>
  Layer.scoped(
    Bus,
    Effect.gen(function* () {
      const lanes: { readonly [lane in Lane]: AckQueue<WorkOrder> } = {
        prepare: new AckQueue(options),
        embed: new AckQueue(options)
      }
      const results = new AckQueue<WorkResult>(options)
      const events = yield* Effect.acquireRelease(
        PubSub.sliding<StoredEvent>(options.capacity),
        PubSub.shutdown
      )
      type Answer = Parameters<BusService["serveClaims"]>[0]
      let claims: Answer | undefined

      for (const queue of [lanes.prepare, lanes.embed, results]) yield* Effect.forkScoped(queue.redeliver)

      return Bus.of({
        dispatch: (orders) => {
          const entries = (lane: Lane) =>
            orders.flatMap((value) => (value.lane === lane ? [{ value, key: orderKey(value) }] : []))
          return Effect.zipRight(lanes.prepare.put(entries("prepare")), lanes.embed.put(entries("embed")))
        },
        receive: (lane, most) => lanes[lane].takeMany(most),
        withdraw: (lane, job) => Effect.sync(() => lanes[lane].withdraw((order) => order.jobId === job)),
        claim: (requests) =>
          Effect.suspend(() =>
            claims === undefined
              ? new BusUnavailable({ bus: "memory", detail: "Nobody answers claims yet." })
              : claims(requests)
          ),
        serveClaims: (answer) =>
          Effect.acquireUseRelease(
            Effect.sync(() => {
              claims = answer
            }),
            () => Effect.never,
            () =>
              Effect.sync(() => {
                if (claims === answer) claims = undefined
              })
          ),
        // The memory of this process is no place for what was paid for: it is kept once the Coordinator has recorded it.
        report: (reported) =>
          Effect.suspend(() => {
            const recorded: Array<Deferred.Deferred<void>> = []
            const entries = reported.map((value): Entry<WorkResult> => {
              if (value._tag !== "Vectors") return { value, key: undefined }
              const acknowledged = Deferred.unsafeMake<void>(FiberId.none)
              recorded.push(acknowledged)
              return { value, key: undefined, acknowledged }
            })
            // Interrupted, they stay where they are.
            return recorded.reduce(
              (before, one) => Effect.zipRight(before, Deferred.await(one)),
              results.put(entries)
            )
          }),
        results: Stream.repeatEffectChunk(
          Effect.map(results.takeMany(resultsTogether), Chunk.unsafeFromArray)
        ),
        publish: (event) => Effect.asVoid(PubSub.publish(events, event)),
        events: ({ project, team }) =>
          Stream.fromPubSub(events).pipe(
            Stream.filter(
              (event) =>
                (team === undefined || event.team === team) &&
                (project === undefined || event.project === project)
            )
          ),
        state: Effect.succeed({ kind: "memory", connected: true, detail: undefined })
      })
    })
  )

const orderKey = (order: WorkOrder): string => `${order.jobId}.${order.attempt}`

interface Entry<A> {
  readonly value: A
  readonly key: string | undefined
  /** Done when it is acknowledged, for a putter who waits for that. */
  readonly acknowledged?: Deferred.Deferred<void>
}

/** A bounded queue whose takers acknowledge: an entry that was taken and not acknowledged in time waits again. */
class AckQueue<A> {
  readonly #options: BusOptions
  /** What waits, in order of arrival. */
  readonly #waiting = new Set<Entry<A>>()
  readonly #keys = new Set<string>()
  readonly #taken = new Map<Entry<A>, number>()
  /** Who waits for something to take. */
  readonly #takers = new Set<Deferred.Deferred<void>>()
  /** One of them was woken, and has not looked yet. */
  #isComing = false
  readonly #putters = new Set<Deferred.Deferred<void>>()
  #woken = Deferred.unsafeMake<void>(FiberId.none)

  constructor(options: BusOptions) {
    this.#options = options
  }

  /** One whose key waits already is not doubled. A step for all of them where there is room: every order and result passes here. */
  put(entries: ReadonlyArray<Entry<A>>): Effect.Effect<void> {
    return Effect.suspend(() => {
      for (const [at, entry] of entries.entries()) {
        if (entry.key !== undefined && this.#keys.has(entry.key)) continue
        if (this.#waiting.size < this.#options.capacity) {
          this.#enqueue(entry)
          continue
        }
        const room = Deferred.unsafeMake<void>(FiberId.none)
        this.#putters.add(room)
        return Deferred.await(room).pipe(
          Effect.ensuring(Effect.sync(() => this.#putters.delete(room))),
          Effect.zipRight(this.put(entries.slice(at)))
        )
      }
      return Effect.void
    })
  }

  /** What waits, up to so many; waits for it where nothing does. */
  takeMany(most: number): Effect.Effect<ReadonlyArray<Delivery<A>>> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(restore(this.#something), () =>
        Effect.map(monotonicMs, (now) => {
          const taken: Array<Delivery<A>> = []
          for (const entry of this.#waiting) {
            if (taken.length >= most) break
            taken.push(this.#takeOut(entry, now))
          }
          this.#wakeNext()
          return taken
        })
      ).pipe(Effect.repeat({ until: (taken) => taken.length > 0 }))
    )
  }

  /** Over when something waits. Who was woken lets the one who sends go on first: what is sent together is taken together. */
  readonly #something: Effect.Effect<void> = Effect.suspend(() => {
    if (this.#waiting.size > 0) return Effect.void
    const taker = Deferred.unsafeMake<void>(FiberId.none)
    this.#takers.add(taker)
    return Deferred.await(taker).pipe(
      Effect.zipRight(Effect.yieldNow()),
      Effect.ensuring(
        Effect.sync(() => {
          if (!this.#takers.delete(taker)) this.#isComing = false
        })
      ),
      Effect.onInterrupt(() => Effect.sync(() => this.#wakeNext()))
    )
  })

  /** One at a time: what comes until it looks is its own. */
  #wakeNext(): void {
    const [taker] = this.#takers
    if (taker === undefined || this.#isComing || this.#waiting.size === 0) return
    this.#takers.delete(taker)
    this.#isComing = true
    Deferred.unsafeDone(taker, Effect.void)
  }

  withdraw(matches: (value: A) => boolean): void {
    for (const entry of this.#waiting) if (matches(entry.value)) this.#forget(entry)
    for (const entry of this.#taken.keys()) if (matches(entry.value)) this.#taken.delete(entry)
  }

  /** Puts back what was not acknowledged in time. Sleeps until the next one can be due. */
  readonly redeliver: Effect.Effect<never> = Effect.forever(
    Effect.gen(this, function* () {
      // Made before the look: what is lent in between wakes it.
      const woken = yield* Deferred.make<void>()
      this.#woken = woken
      if (this.#taken.size === 0) yield* Deferred.await(woken)
      const now = yield* monotonicMs
      for (const [entry, dueAt] of this.#taken) {
        if (dueAt > now) continue
        this.#taken.delete(entry)
        this.#enqueue(entry)
      }
      const next = Math.min(...this.#taken.values(), now + Duration.toMillis(this.#options.ackWait))
      yield* Effect.sleep(Duration.millis(Math.max(1, next - now)))
    })
  )

  #enqueue(entry: Entry<A>): void {
    this.#waiting.add(entry)
    if (entry.key !== undefined) this.#keys.add(entry.key)
    this.#wakeNext()
  }

  #takeOut(entry: Entry<A>, now: number): Delivery<A> {
    this.#forget(entry)
    this.#lend(entry, now)
    return this.#delivery(entry)
  }

  #lend(entry: Entry<A>, now: number): void {
    this.#taken.set(entry, now + Duration.toMillis(this.#options.ackWait))
    Deferred.unsafeDone(this.#woken, Effect.void)
  }

  /** It waits no more, however that came: there is room for somebody who wants to put. */
  #forget(entry: Entry<A>): void {
    if (!this.#waiting.delete(entry)) return
    if (entry.key !== undefined) this.#keys.delete(entry.key)
    const [putter] = this.#putters
    if (putter === undefined) return
    this.#putters.delete(putter)
    Deferred.unsafeDone(putter, Effect.void)
  }

  #delivery(entry: Entry<A>): Delivery<A> {
    return {
      value: entry.value,
      ack: new AtOnce(() => {
        // One that came too late: it waits again, and need not.
        if (!this.#taken.delete(entry)) this.#forget(entry)
        if (entry.acknowledged !== undefined) Deferred.unsafeDone(entry.acknowledged, Effect.void)
      }),
      inProgress: Effect.map(monotonicMs, (now) => {
        if (this.#taken.has(entry)) this.#taken.set(entry, now + Duration.toMillis(this.#options.ackWait))
      })
    }
  }
}
