/**
 * What a scan and what is remembered of the last one make together: both come in the same order, so that they are merged
 * in constant memory.
 *
 * A remembered item is missing only where the scan proves that it would have met it: below a directory that could not be
 * read everything is kept.
 */
import { Effect, Fiber, type Scope } from "effect"
import type { RawPath } from "./RawPath.ts"
import type { Exclusion, Scanned, Stamp } from "./SourceReader.ts"

/** An item as the last sync saw it. */
export interface Remembered extends Stamp {
  readonly path: RawPath
  /** Whether nothing is to be done about the file that a scan says this of: see `settledLine`. */
  readonly isSettledAs?: (line: string) => boolean
}

export type Difference<Known extends Remembered> =
  /** So many items of which nothing is to be said one by one. */
  | { readonly _tag: "Settled"; readonly count: number }
  /** Nothing about it changed that can be seen without reading. */
  | {
      readonly _tag: "Same"
      readonly path: RawPath
      readonly stamp: Stamp
      /** Where the scan brought it. */
      readonly descriptor: string | undefined
      readonly known: Known
    }
  /** New, or changed: it has to be read. */
  | {
      readonly _tag: "Look"
      readonly path: RawPath
      readonly stamp: Stamp
      readonly known: Known | undefined
    }
  /** It is no longer there. */
  | { readonly _tag: "Missing"; readonly known: Known }
  /** It is there, and no document any more. */
  | { readonly _tag: "Excluded"; readonly known: Known; readonly why: Exclusion }
  /** Nobody can tell. */
  | { readonly _tag: "Kept"; readonly known: Known }
  /** Reported once for whatever could not be read, before what is kept because of it. */
  | { readonly _tag: "Unreadable"; readonly scanned: Extract<Scanned, { readonly _tag: "Unreadable" }> }

export const sameStamp = (one: Stamp, other: Stamp): boolean =>
  one.written !== undefined && other.written !== undefined
    ? one.written === other.written
    : one.size === other.size && one.mtimeNs === other.mtimeNs && one.inode === other.inode

/** Merges two ordered sides that arrive in batches. Pure but for its own state. */
export class Merge<Known extends Remembered> {
  private scanned: ReadonlyArray<Scanned> = []
  private atScanned = 0
  private scanEnded = false
  private known: ReadonlyArray<Known> = []
  private atKnown = 0
  private knownEnded = false
  /** The subtree that the scan reported last: what is remembered next may lie in it. */
  private cover: Extract<Scanned, { readonly subtree: boolean }> | undefined
  private settled = 0
  settledInAll = 0
  private readonly countsSettled: boolean

  /** `countsSettled`: items that are settled are only counted. */
  constructor(countsSettled: boolean) {
    this.countsSettled = countsSettled
  }

  scan(batch: ReadonlyArray<Scanned> | undefined): void {
    this.scanned = batch ?? []
    this.atScanned = 0
    this.scanEnded = batch === undefined
  }

  remember(batch: ReadonlyArray<Known>, isLast: boolean): void {
    this.known = batch
    this.atKnown = 0
    this.knownEnded = isLast
  }

  /** Goes on until one side has to be filled up, or until both have ended. */
  run(out: Array<Difference<Known>>): "scan" | "remember" | "done" {
    const needs = this.merge(out)
    if (this.settled > 0) out.push({ _tag: "Settled", count: this.settled })
    this.settledInAll += this.settled
    this.settled = 0
    return needs
  }

  /** Both sides stand at the same file, and nothing is to be done about it. */
  private passSettled(): void {
    while (true) {
      const scanned = this.scanned[this.atScanned]
      const known = this.known[this.atKnown]
      if (scanned?._tag !== "Item" || scanned.line === undefined) return
      if (known?.isSettledAs?.(scanned.line) !== true) return
      this.atScanned += 1
      this.atKnown += 1
      this.settled += 1
    }
  }

  private merge(out: Array<Difference<Known>>): "scan" | "remember" | "done" {
    while (true) {
      if (this.countsSettled) this.passSettled()
      const scanned = this.scanned[this.atScanned]
      const known = this.known[this.atKnown]
      // The next page of the scan is made elsewhere meanwhile.
      if (known === undefined && !this.knownEnded) return "remember"
      if (scanned === undefined && !this.scanEnded) return "scan"
      if (known !== undefined && (scanned === undefined || known.path < scanned.path)) {
        this.atKnown += 1
        out.push(this.unseen(known))
        continue
      }
      if (scanned === undefined) return "done"
      this.atScanned += 1
      const match = known?.path === scanned.path ? known : undefined
      if (match !== undefined) this.atKnown += 1
      this.meet(scanned, match, out)
    }
  }

  private meet(scanned: Scanned, known: Known | undefined, out: Array<Difference<Known>>): void {
    if (scanned._tag === "Item") {
      const { descriptor, path, stamp } = scanned
      out.push(
        known !== undefined && sameStamp(stamp, known)
          ? { _tag: "Same", path, stamp, descriptor, known }
          : { _tag: "Look", path, stamp, known }
      )
      return
    }
    if (scanned._tag === "Unreadable") out.push({ _tag: "Unreadable", scanned })
    if (scanned.subtree) this.cover = scanned
    if (known !== undefined) out.push(covered(scanned, known))
  }

  private unseen(known: Known): Difference<Known> {
    return this.cover !== undefined && known.path.startsWith(this.cover.path)
      ? covered(this.cover, known)
      : { _tag: "Missing", known }
  }
}

const covered = <Known extends Remembered>(
  by: Exclude<Scanned, { readonly _tag: "Item" }>,
  known: Known
): Difference<Known> =>
  by._tag === "Unreadable" ? { _tag: "Kept", known } : { _tag: "Excluded", known, why: by.why }

const batchSize = 512

const isNamed = <Known extends Remembered>({ _tag }: Difference<Known>): boolean => _tag !== "Settled"

export interface DifferencesOptions {
  /** Of what is remembered at a time. */
  readonly page: number
  /** Items that are settled are counted, and not named. */
  readonly countsSettled: boolean
}

/**
 * Begins the scan, and answers how to go on: each time with what was found next, with nothing after the last of it. `scanned`
 * gives the next page of the scan, if there is one; `remembered` what comes after a path, in order: fewer than `page` where
 * there is no more.
 *
 * Plain effects, not a stream, which took a sixth of the steps of fibers of a pass without news.
 */
export const differences = Effect.fnUntraced(function* <Known extends Remembered, E, E2>(
  scanned: Effect.Effect<ReadonlyArray<Scanned> | undefined, E>,
  remembered: (after: RawPath | undefined, page: number) => Effect.Effect<ReadonlyArray<Known>, E2>,
  { countsSettled, page }: DifferencesOptions
): Effect.fn.Return<Effect.Effect<ReadonlyArray<Difference<Known>> | undefined, E | E2>, never, Scope.Scope> {
  const merge = new Merge<Known>(countsSettled)
  let after: RawPath | undefined
  // The scan begins while the first of what is remembered is read.
  let first: typeof scanned | undefined = Fiber.join(yield* Effect.forkScoped(scanned))
  // Its first request is some fibers away from here.
  yield* Effect.repeatN(Effect.yieldNow(), 3)
  const nextScanned = Effect.suspend(() => {
    const next = first ?? scanned
    first = undefined
    return Effect.map(next, (batch) => merge.scan(batch))
  })
  const nextRemembered = Effect.suspend(() =>
    Effect.map(remembered(after, page), (batch) => {
      after = batch.at(-1)?.path ?? after
      merge.remember(batch, batch.length < page)
    })
  )
  return Effect.gen(function* () {
    const out: Array<Difference<Known>> = []
    const before = merge.settledInAll
    while (out.length + merge.settledInAll - before < batchSize) {
      const needs = merge.run(out)
      // Whoever looks at what differs does so while the scan goes on.
      if (needs === "done" || (needs === "scan" && out.some(isNamed))) break
      yield* needs === "scan" ? nextScanned : nextRemembered
    }
    return out.length === 0 ? undefined : out
  })
})
