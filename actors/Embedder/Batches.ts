/**
 * What waits to be embedded, gathered by project and model into batches. Bounded: orders are taken only while there is
 * room. An input that several orders need stands in one place.
 */
import { Deferred, Duration, Effect, FiberId } from "effect"
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
}

interface Group {
  readonly scope: ProjectScope
  readonly model: EmbeddingModelService
  readonly items: Map<Digest, Item>
  /** Full batches that went out while it was not full, and stood before them. */
  passedOver: number
}

/** Batches that may wait for a slot, for each of the model's slots. */
const batchesAhead = 2
/** After so many full batches of others one goes out as it is: a project with few inputs does not wait for one with very many. */
const mostPassedOver = 4

export class Batches {
  readonly #groups = new Map<string, Group>()
  /** By project and model: what is being asked for now. */
  readonly #asked = new Map<string, Map<Digest, Item>>()
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

  /** What is being asked for already is not asked for again: its answer is this order's as well. */
  #add(taken: Taken, model: EmbeddingModelService, texts: ReadonlyMap<Digest, string>): void {
    const { scope } = taken.order
    const key = groupKey({ scope, model })
    const asked = this.#asked.get(key)
    const group = this.#groups.get(key) ?? { scope, model, items: new Map<Digest, Item>(), passedOver: 0 }
    this.#orders.add(taken)
    for (const [input, text] of texts) {
      const item = group.items.get(input) ?? asked?.get(input)
      if (item === undefined) group.items.set(input, { input, text, orders: new Set([taken]) })
      else item.orders.add(taken)
    }
    if (group.items.size > 0) this.#groups.set(key, group)
  }

  /** Waits for a batch: a full one, one whose turn it is, or what there is when nothing more waits. */
  readonly next: Effect.Effect<Gathered> = Effect.suspend(() => {
    const group = this.#nextGroup()
    return group === undefined
      ? Effect.flatMap(Deferred.await(this.#changed), () => this.next)
      : Effect.zipLeft(
          Effect.sync(() => this.#cut(group)),
          this.#signal
        )
  })

  #nextGroup(): Group | undefined {
    const partial: Array<Group> = []
    for (const group of this.#groups.values()) {
      if (group.items.size >= group.model.batchSize || group.passedOver >= mostPassedOver) {
        for (const one of partial) one.passedOver++
        return group
      }
      partial.push(group)
    }
    return this.#idle ? partial[0] : undefined
  }

  /** Its provider is asked no more: nobody joins it from here on. Answers the orders that wait for something of it. */
  answered(batch: Gathered): ReadonlyArray<Taken> {
    const key = groupKey(batch)
    const asked = this.#asked.get(key)
    for (const { input } of batch.items) asked?.delete(input)
    if (asked?.size === 0) this.#asked.delete(key)
    const orders = new Set(batch.items.flatMap((item) => [...item.orders]))
    return [...orders].filter((taken) => this.#orders.has(taken))
  }

  /** The orders of a batch that brought nothing. What else of theirs waits is dropped. */
  giveUp(batch: Gathered): ReadonlyArray<Taken> {
    const failed = this.answered(batch)
    for (const taken of failed) this.drop(taken)
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
          this.drop(taken)
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
    const key = groupKey(group)
    const asked = this.#asked.get(key) ?? new Map<Digest, Item>()
    this.#asked.set(key, asked)
    for (const item of items) {
      group.items.delete(item.input)
      asked.set(item.input, item)
    }
    // To the end: projects take turns.
    this.#groups.delete(key)
    group.passedOver = 0
    if (group.items.size > 0) this.#groups.set(key, group)
    return { scope: group.scope, model: group.model, items }
  }

  /** Nobody needs it any more. What is being asked for already is answered all the same. */
  drop(taken: Taken): void {
    this.#orders.delete(taken)
    for (const [key, group] of this.#groups) {
      for (const [input, item] of group.items) {
        item.orders.delete(taken)
        if (item.orders.size === 0) group.items.delete(input)
      }
      if (group.items.size === 0) this.#groups.delete(key)
    }
    // There is room, and whoever waits for it may be all that there is.
    this.#wake()
  }

  #set(idle: boolean): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#idle = idle
      return idle ? this.#signal : Effect.void
    })
  }

  readonly #signal: Effect.Effect<void> = Effect.sync(() => this.#wake())

  #wake(): void {
    const now = this.#changed
    this.#changed = Deferred.unsafeMake<void>(FiberId.none)
    Deferred.unsafeDone(now, Effect.void)
  }
}

/**
 * A batch is halved until whatever the provider fails on stands alone: two requests for each halving, and after each that fails one of
 * a harmless text.
 */
export const longestFor = ({ items, model }: Gathered): Duration.Duration =>
  Duration.times(model.timeout, 2 + 3 * Math.ceil(Math.log2(Math.max(1, items.length))))

const groupKey = ({ model, scope }: Pick<Group, "scope" | "model">): string =>
  `${scopeKey(scope)}/${model.fingerprint}`
