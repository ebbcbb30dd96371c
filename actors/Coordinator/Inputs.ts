/**
 * Which vectors are waited for, by whom, and who has asked a worker for each: an input that several documents of a
 * project need is asked for once.
 */
import { type CodeFingerprint, type Digest, type ProjectScope, scopeKey } from "../../events/Ids.ts"
import type { Work } from "./Work.ts"

interface Wanted {
  readonly waiters: Set<Work>
  asker: Work | undefined
}

const keyOf = (scope: ProjectScope, model: CodeFingerprint, input: Digest): string =>
  `${scopeKey(scope)}/${model}/${input}`

export class Inputs {
  readonly #wanted = new Map<string, Wanted>()

  /** The work cannot be completed before these have vectors. */
  want(work: Work, inputs: Iterable<Digest>): void {
    for (const input of inputs) {
      work.missing.add(input)
      const key = keyOf(work.scope, work.pair.model, input)
      const wanted = this.#wanted.get(key) ?? { waiters: new Set(), asker: undefined }
      this.#wanted.set(key, wanted)
      wanted.waiters.add(work)
    }
  }

  /** Those of its missing inputs that nobody else has asked for, so many at most: it asks for them now. */
  ask(work: Work, most = Number.POSITIVE_INFINITY): ReadonlyArray<Digest> {
    const asked: Array<Digest> = []
    for (const input of work.missing) {
      if (asked.length >= most) break
      const wanted = this.#wanted.get(keyOf(work.scope, work.pair.model, input))
      if (wanted === undefined || (wanted.asker !== undefined && wanted.asker !== work)) continue
      wanted.asker = work
      work.asking.add(input)
      asked.push(input)
    }
    return asked
  }

  isWanted(scope: ProjectScope, model: CodeFingerprint, input: Digest): boolean {
    return this.#wanted.has(keyOf(scope, model, input))
  }

  /** The vector is there. Answers who waited for it; whoever asked for it has computed it, if it is new. */
  recorded(
    scope: ProjectScope,
    model: CodeFingerprint,
    input: Digest,
    digest: Digest,
    computed: boolean
  ): ReadonlyArray<Work> {
    const key = keyOf(scope, model, input)
    const wanted = this.#wanted.get(key)
    if (wanted === undefined) return []
    this.#wanted.delete(key)
    const payer = wanted.asker ?? [...wanted.waiters][0]
    if (computed && payer !== undefined) payer.computed++
    for (const work of wanted.waiters) {
      work.missing.delete(input)
      work.asking.delete(input)
      work.vectors.set(input, digest)
    }
    return [...wanted.waiters]
  }

  /** What it asked for may be asked for by others. Answers those who wait for something of it. */
  takeBack(work: Work): ReadonlySet<Work> {
    const others = new Set<Work>()
    for (const input of work.asking) {
      const wanted = this.#wanted.get(keyOf(work.scope, work.pair.model, input))
      if (wanted?.asker !== work) continue
      wanted.asker = undefined
      for (const waiter of wanted.waiters) if (waiter !== work) others.add(waiter)
    }
    work.asking.clear()
    return others
  }

  /** The work is over or starts anew: it waits for nothing. */
  forget(work: Work): ReadonlySet<Work> {
    const others = this.takeBack(work)
    for (const input of work.missing) {
      const key = keyOf(work.scope, work.pair.model, input)
      const wanted = this.#wanted.get(key)
      wanted?.waiters.delete(work)
      if (wanted?.waiters.size === 0) this.#wanted.delete(key)
    }
    work.missing.clear()
    work.vectors.clear()
    return others
  }
}
