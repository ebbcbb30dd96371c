/**
 * What is still to be built for the generations that are open under another pair than the live one: found page by page
 * in the read models, a bounded number at a time, and joined by whatever is committed meanwhile.
 */
import type { DocumentId } from "../../events/Ids.ts"
import { type Pair, pairKey, type Work } from "./Work.ts"

export interface Build {
  readonly pair: Pair
  /** Where the pass over the unbuilt documents stands. */
  after: DocumentId | undefined
  /** The pass has met every document that was unbuilt when it began. */
  swept: boolean
  /** Committed meanwhile under the live pair. */
  readonly pending: Set<DocumentId>
  readonly active: Map<DocumentId, Work>
  readonly parked: Set<DocumentId>
}

export class Builds {
  readonly #limit: number
  readonly #builds = new Map<string, Build>()

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Builds go on for these pairs and no others. Answers the work that is not wanted any more. */
  setPairs(pairs: ReadonlyArray<Pair>): ReadonlyArray<Work> {
    const wanted = new Map(pairs.map((pair) => [pairKey(pair), pair]))
    const dropped: Array<Work> = []
    for (const [key, build] of this.#builds) {
      if (wanted.has(key)) continue
      dropped.push(...build.active.values())
      this.#builds.delete(key)
    }
    for (const [key, pair] of wanted) {
      const known = this.#builds.get(key)
      if (known !== undefined) {
        known.after = undefined
        known.swept = false
        continue
      }
      this.#builds.set(key, {
        pair,
        after: undefined,
        swept: false,
        pending: new Set(),
        active: new Map(),
        parked: new Set()
      })
    }
    return dropped
  }

  all(): Iterable<Build> {
    return this.#builds.values()
  }

  of(pair: Pair): Build | undefined {
    return this.#builds.get(pairKey(pair))
  }

  /** How many more may be begun for it. */
  room(build: Build): number {
    return this.#limit - build.active.size
  }

  /** A version became live under `pair`: every other pair needs a build of it. */
  committed(document: DocumentId, pair: Pair): void {
    for (const build of this.#builds.values()) {
      if (pairKey(build.pair) === pairKey(pair)) continue
      build.parked.delete(document)
      // Past this many it is cheaper to look for the unbuilt ones again.
      if (build.pending.size < 4 * this.#limit) build.pending.add(document)
      else {
        build.after = undefined
        build.swept = false
      }
    }
  }

  removed(document: DocumentId): void {
    for (const build of this.#builds.values()) {
      build.pending.delete(document)
      build.parked.delete(document)
    }
  }

  unfinished(): { readonly open: number; readonly parked: number } {
    let open = 0
    let parked = 0
    for (const build of this.#builds.values()) {
      open += build.active.size + build.pending.size + (build.swept ? 0 : 1)
      parked += build.parked.size
    }
    return { open, parked }
  }
}
