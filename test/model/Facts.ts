/**
 * The log of the model, and what follows from it by plain counting: documents, versions, the live generation, and the
 * truth against which every answer is held.
 *
 * Nothing here is incremental: each question reads the events from the first one, so that there is nothing to get wrong.
 */
import type { Chunk, Contents, DocumentName, SpecName } from "./Contents.ts"

export type Removal = "requested" | "skipped" | "moved" | "lost"

/** The document whose place a version takes, and the order key of the command that said so. */
export interface Move {
  readonly document: DocumentName
  readonly key: number
}

export type Fact =
  | {
      readonly type: "Submitted"
      readonly document: DocumentName
      readonly version: number
      readonly raw: string
      readonly tag: string
      readonly orderKey: number
      readonly movedFrom: Move | undefined
    }
  | {
      readonly type: "Chunked"
      readonly document: DocumentName
      readonly version: number
      readonly spec: SpecName
      readonly text: string
      readonly manifest: string
    }
  | ({
      readonly type: "Committed" | "Built"
      readonly document: DocumentName
      readonly version: number
      readonly spec: SpecName
      readonly tag: string
      /** Looked at only where rule 11 is left out: the generation for which it was built. */
      readonly generation: string | undefined
    } & Contents)
  | { readonly type: "Rejected"; readonly document: DocumentName; readonly version: number }
  | { readonly type: "Retried"; readonly document: DocumentName; readonly version: number }
  | {
      readonly type: "BuildParked"
      readonly document: DocumentName
      readonly version: number
      readonly spec: SpecName
    }
  | { readonly type: "Removed"; readonly document: DocumentName; readonly reason: Removal }
  | { readonly type: "Opened"; readonly generation: string; readonly spec: SpecName }
  | { readonly type: "Verified"; readonly generation: string; readonly position: number }
  | { readonly type: "Promoted"; readonly generation: string; readonly excluded: ReadonlyArray<DocumentName> }
  | { readonly type: "Retired"; readonly generation: string }

export interface Row {
  readonly position: number
  /** The position of the last event of its append. */
  readonly end: number
  readonly epoch: number
  /** The command or job result that left it. */
  readonly cause: string
  readonly at: number
  readonly fact: Fact
}

/** `log.sqlite`: the events, and the operational tables that are restored with them. */
export interface LogFile {
  readonly rows: Array<Row>
  readonly outcomes: Map<string, { readonly body: string; readonly answer: Answer }>
  readonly orderKeys: Map<DocumentName, number>
}
export type Answer = "accepted" | "unchanged" | "superseded" | "removed" | "skipped"

export const emptyLog = (): LogFile => ({ rows: [], outcomes: new Map(), orderKeys: new Map() })
export const copyOfLog = (log: LogFile): LogFile => ({
  rows: [...log.rows],
  outcomes: new Map(log.outcomes),
  orderKeys: new Map(log.orderKeys)
})

export const headOf = (rows: ReadonlyArray<Row>): number => rows.length

/** The last position that was there at `time`, by the writer's clock. */
export const headAt = (rows: ReadonlyArray<Row>, time: number): number =>
  rows.findLast((row) => row.at <= time)?.position ?? 0

export interface Version {
  readonly document: DocumentName
  readonly version: number
  readonly raw: string
  readonly tag: string
  readonly orderKey: number
  readonly movedFrom: Move | undefined
  state: "open" | "parked" | "dropped" | "live" | "ended"
  chunkings: Array<{ readonly spec: SpecName; readonly text: string; readonly manifest: string }>
  contents: Array<{ readonly spec: SpecName; readonly row: Row; readonly fact: Contents }>
  buildsParked: Set<SpecName>
  /** The position that ended a committed version. */
  until: number
}

/** A document as the events tell it, `removals` that roll back what is open, or not (rule 18). */
export interface Document {
  readonly versions: Array<Version>
  removed: boolean
}

export const documentsOf = (
  rows: ReadonlyArray<Row>,
  rollsBackOpen: boolean,
  upTo = Number.POSITIVE_INFINITY
): ReadonlyMap<DocumentName, Document> => rememberedDocuments(rows, upTo, rollsBackOpen)

const countDocuments = (
  rows: ReadonlyArray<Row>,
  length: number,
  rollsBackOpen: boolean
): ReadonlyMap<DocumentName, Document> => {
  const documents = new Map<DocumentName, Document>()
  for (const row of rows) {
    if (row.position > length) break
    const { fact } = row
    if (!("document" in fact)) continue
    const document = documents.get(fact.document) ?? { versions: [], removed: false }
    documents.set(fact.document, document)
    const { versions } = document
    const named = "version" in fact ? versions.find(({ version }) => version === fact.version) : undefined
    switch (fact.type) {
      case "Submitted": {
        for (const one of versions) if (one.state === "open" || one.state === "parked") one.state = "dropped"
        versions.push({
          ...fact,
          state: "open",
          chunkings: [],
          contents: [],
          buildsParked: new Set(),
          until: Number.POSITIVE_INFINITY
        })
        document.removed = false
        break
      }
      case "Chunked":
        named?.chunkings.push(fact)
        break
      case "Committed":
        end(versions, row.position)
        if (named !== undefined) named.state = "live"
        document.removed = false
        named?.contents.push({ spec: fact.spec, row, fact })
        break
      case "Built":
        named?.contents.push({ spec: fact.spec, row, fact })
        named?.buildsParked.delete(fact.spec)
        break
      case "BuildParked":
        named?.buildsParked.add(fact.spec)
        break
      case "Rejected":
        if (named !== undefined) named.state = "parked"
        break
      case "Retried":
        if (named !== undefined) named.state = "open"
        break
      case "Removed":
        end(versions, row.position)
        for (const one of versions) {
          if (one.state === "parked" || (one.state === "open" && rollsBackOpen)) one.state = "dropped"
        }
        document.removed = true
    }
  }
  return documents
}

const end = (versions: ReadonlyArray<Version>, position: number): void => {
  for (const one of versions) {
    if (one.state !== "live") continue
    one.state = "ended"
    one.until = position
  }
}

export const newestOf = (document: Document | undefined): Version | undefined => document?.versions.at(-1)
export const liveOf = (document: Document | undefined): Version | undefined =>
  document?.versions.find(({ state }) => state === "live")
export const openOf = (document: Document | undefined): Version | undefined =>
  document?.versions.find(({ state }) => state === "open")

export interface GenerationFacts {
  readonly generation: string
  readonly spec: SpecName
  state: "building" | "live" | "replaced" | "retired"
  verified: number
  /** The end of the append that promoted another one in its place. */
  replacedAt: number
  retiredAt: number
  excluded: ReadonlySet<DocumentName>
}

export const generationsOf = (rows: ReadonlyArray<Row>): ReadonlyMap<string, GenerationFacts> =>
  rememberedGenerations(rows, rows.length, true)

const countGenerations = (rows: ReadonlyArray<Row>): ReadonlyMap<string, GenerationFacts> => {
  const generations = new Map<string, GenerationFacts>()
  for (const { fact, position, end: appendEnd } of rows) {
    if (fact.type === "Opened") {
      generations.set(fact.generation, {
        generation: fact.generation,
        spec: fact.spec,
        state: "building",
        verified: 0,
        replacedAt: Number.POSITIVE_INFINITY,
        retiredAt: Number.POSITIVE_INFINITY,
        excluded: new Set()
      })
    } else if (fact.type === "Verified") {
      const one = generations.get(fact.generation)
      if (one !== undefined) one.verified = fact.position
    } else if (fact.type === "Promoted") {
      for (const one of generations.values()) {
        if (one.state !== "live") continue
        one.state = "replaced"
        one.replacedAt = appendEnd
      }
      const one = generations.get(fact.generation)
      if (one !== undefined) {
        one.state = "live"
        one.excluded = new Set(fact.excluded)
      }
    } else if (fact.type === "Retired") {
      const one = generations.get(fact.generation)
      if (one !== undefined) {
        one.state = "retired"
        one.retiredAt = position
      }
    }
  }
  return generations
}

export const liveGeneration = (rows: ReadonlyArray<Row>): GenerationFacts | undefined =>
  [...generationsOf(rows).values()].find(({ state }) => state === "live")

/** What is embedded for: the live generation's spec, before the first promotion that of the first one opened. */
export const liveSpec = (rows: ReadonlyArray<Row>): SpecName => {
  const generations = [...generationsOf(rows).values()]
  return (generations.find(({ state }) => state === "live") ?? generations[0])?.spec ?? "S1"
}

/** What each commit or build should have made findable, noted when it was appended, whatever is collected later. */
export type Noted = WeakMap<Row, ReadonlyArray<Chunk>>

export interface Truth {
  /** Per document that must be found: exactly these chunks, and the blob from which their text is shown. */
  readonly visible: ReadonlyMap<
    DocumentName,
    { readonly chunks: ReadonlyArray<Chunk>; readonly text: string }
  >
  /** Live documents for which the spec has no contents yet. */
  readonly unbuilt: ReadonlySet<DocumentName>
}

/** What a search under `spec` must find at a position: the newest contents of each version that is live there. */
export const truthAt = (rows: ReadonlyArray<Row>, noted: Noted, position: number, spec: SpecName): Truth => {
  const visible = new Map<DocumentName, { readonly chunks: ReadonlyArray<Chunk>; readonly text: string }>()
  const unbuilt = new Set<DocumentName>()
  for (const [name, document] of documentsOf(rows, true, position)) {
    const live = liveOf(document)
    if (live === undefined) continue
    const newest = live.contents.findLast((one) => one.spec === spec)
    if (newest === undefined) unbuilt.add(name)
    else visible.set(name, { chunks: noted.get(newest.row) ?? [], text: newest.fact.text })
  }
  return { visible, unbuilt }
}

/**
 * Remembers answers about the first `length` rows of a log: they never change, because a log is only appended to and a
 * rollback makes a new array.
 */
const remembered = <A>(compute: (rows: ReadonlyArray<Row>, length: number, variant: boolean) => A) => {
  const answers = new WeakMap<ReadonlyArray<Row>, Map<number, A>>()
  return (rows: ReadonlyArray<Row>, upTo: number, variant: boolean): A => {
    const length = Math.min(upTo, rows.length)
    const known = answers.get(rows) ?? new Map<number, A>()
    answers.set(rows, known)
    const key = variant ? length : -1 - length
    const answer = known.get(key) ?? compute(rows, length, variant)
    known.set(key, answer)
    return answer
  }
}

const rememberedDocuments = remembered(countDocuments)
const rememberedGenerations = remembered(countGenerations)
