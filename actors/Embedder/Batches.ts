/**
 * What waits to be embedded, gathered by project and model into batches. Bounded: orders are taken only while there is
 * room. An input that several orders need stands in one place.
 */
import { Deferred, Effect, FiberId } from "effect"
import { type Digest, type ProjectScope, scopeKey } from "../../events/Ids.ts"
import type { Delivery, EmbedOrder, WorkOrder } from "../../src/bus/Bus.ts"
import type { EmbeddingModelService } from "../../src/embedding/EmbeddingModel.ts"

/** An order that was taken from the bus and may be worked on. */
export interface Taken {
  readonly order: EmbedOrder
  readonly delivery: Delivery<WorkOrder>
  /** Inputs without an answer yet. */
  readonly left: Set<Digest>
}

interface Item {
  readonly input: Digest
  readonly text: string
  readonly orders: Set<Taken>
}

export interface Gathered {
  readonly scope: ProjectScope
  readonly model: EmbeddingModelService
  readonly items: ReadonlyArray<Item>
  readonly orders: ReadonlyArray<Taken>
}

interface Group {
  readonly scope: ProjectScope
  readonly model: EmbeddingModelService
  readonly items: Map<Digest, Item>
}

/** Batches that may wait for a slot, for each of the model's slots. */
const batchesAhead = 2

export class Batches {
  readonly #groups = new Map<string, Group>()
  readonly #orders = new Set<Taken>()
  /** Nothing more waits on the bus, as far as we know. */
  #idle = false
  #changed = Deferred.unsafeMake<void>(FiberId.none)

  orders(): ReadonlyArray<Taken> {
    return [...this.#orders]
  }

  /** Whether this attempt is being worked on, or waits here. */
  has({ attempt, jobId }: EmbedOrder): boolean {
    for (const { order } of this.#orders) if (order.jobId === jobId && order.attempt === attempt) return true
    return false
  }

  /** Waits until another order may be taken. */
  readonly untilRoom: Effect.Effect<void> = Effect.suspend(() => {
    let waiting = 0
    let bound = 0
    for (const { items, model } of this.#groups.values()) {
      waiting += items.size
      bound = Math.max(bound, model.batchSize * model.concurrency * batchesAhead)
    }
    return waiting === 0 || waiting < bound
      ? Effect.void
      : Effect.flatMap(Deferred.await(this.#changed), () => this.untilRoom)
  })

  /** While this runs, partial batches may go out. */
  asWaiting<A, E>(receive: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.zipRight(this.#set(true), receive).pipe(Effect.ensuring(this.#set(false)))
  }

  add(
    orders: ReadonlyArray<readonly [Taken, ReadonlyMap<Digest, string>]>,
    model: EmbeddingModelService
  ): Effect.Effect<void> {
    return Effect.suspend(() => {
      for (const [taken, texts] of orders) this.#add(taken, model, texts)
      return this.#signal
    })
  }

  #add(taken: Taken, model: EmbeddingModelService, texts: ReadonlyMap<Digest, string>): void {
    const { scope } = taken.order
    const key = `${scopeKey(scope)}/${model.fingerprint}`
    const group = this.#groups.get(key) ?? { scope, model, items: new Map() }
    this.#groups.set(key, group)
    this.#orders.add(taken)
    for (const [input, text] of texts) {
      const item = group.items.get(input)
      if (item === undefined) group.items.set(input, { input, text, orders: new Set([taken]) })
      else item.orders.add(taken)
    }
  }

  /** Waits for a batch: a full one, or what there is when nothing more waits. */
  readonly next: Effect.Effect<Gathered> = Effect.suspend(() => {
    const groups = [...this.#groups.values()]
    const group =
      groups.find(({ items, model }) => items.size >= model.batchSize) ?? (this.#idle ? groups[0] : undefined)
    return group === undefined
      ? Effect.flatMap(Deferred.await(this.#changed), () => this.next)
      : Effect.zipLeft(
          Effect.sync(() => this.#cut(group)),
          this.#signal
        )
  })

  /** The orders of a batch that brought nothing. What else of theirs waits is dropped. */
  giveUp(batch: Gathered): ReadonlyArray<Taken> {
    const failed = batch.orders.filter((taken) => this.#orders.has(taken))
    for (const taken of failed) this.#drop(taken)
    return failed
  }

  /** Answers which orders are over with this batch, and which were refused for which input. */
  finish(
    batch: Gathered,
    isRefused: (input: Digest) => boolean
  ): {
    readonly over: ReadonlyArray<Taken>
    readonly refused: ReadonlyArray<{ readonly taken: Taken; readonly input: Digest }>
  } {
    const refused: Array<{ readonly taken: Taken; readonly input: Digest }> = []
    const over = new Set<Taken>()
    for (const { input, orders } of batch.items) {
      for (const taken of orders) {
        if (!this.#orders.has(taken)) continue
        taken.left.delete(input)
        if (isRefused(input)) {
          refused.push({ taken, input })
          this.#drop(taken)
          over.add(taken)
        } else if (taken.left.size === 0) {
          this.#orders.delete(taken)
          over.add(taken)
        }
      }
    }
    return { over: [...over], refused }
  }

  #cut(group: Group): Gathered {
    const items = [...group.items.values()].slice(0, group.model.batchSize)
    for (const { input } of items) group.items.delete(input)
    const key = `${scopeKey(group.scope)}/${group.model.fingerprint}`
    // To the end: projects take turns.
    this.#groups.delete(key)
    if (group.items.size > 0) this.#groups.set(key, group)
    const orders = new Set(items.flatMap((item) => [...item.orders]))
    return { scope: group.scope, model: group.model, items, orders: [...orders] }
  }

  #drop(taken: Taken): void {
    this.#orders.delete(taken)
    for (const [key, group] of this.#groups) {
      for (const [input, item] of group.items) {
        item.orders.delete(taken)
        if (item.orders.size === 0) group.items.delete(input)
      }
      if (group.items.size === 0) this.#groups.delete(key)
    }
  }

  #set(idle: boolean): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#idle = idle
      return idle ? this.#signal : Effect.void
    })
  }

  readonly #signal: Effect.Effect<void> = Effect.flatMap(Deferred.make<void>(), (next) =>
    Effect.suspend(() => {
      const now = this.#changed
      this.#changed = next
      return Effect.asVoid(Deferred.succeed(now, undefined))
    })
  )
}
