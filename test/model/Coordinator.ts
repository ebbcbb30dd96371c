/**
 * The one that appends: takes commands, hands out jobs, takes their results, commits or parks.
 *
 * A text with `!` cannot be prepared under any spec, one with `?` not under S2: poison for the tests.
 */
import {
  type Contents,
  cut,
  type DocumentName,
  digest,
  projectOf,
  rootOf,
  type SpecName,
  specs
} from "./Contents.ts"
import {
  type Answer,
  type Document,
  documentsOf,
  type Fact,
  generationsOf,
  liveOf,
  liveSpec,
  type Move,
  newestOf,
  openOf,
  type Removal
} from "./Facts.ts"
import type { Model } from "./Model.ts"

export type Command =
  | {
      readonly kind: "submit"
      readonly id: string
      readonly document: DocumentName
      readonly text: string
      readonly tag: string
      readonly key: number
      readonly movedFrom?: DocumentName
    }
  | { readonly kind: "remove"; readonly id: string; readonly document: DocumentName; readonly key: number }

/** What a worker hands back. Its content was stored before. */
export interface Result extends Contents {
  readonly job: string
  readonly lane: "prepare" | "embed" | "build"
  readonly document: DocumentName
  readonly version: number
  readonly spec: SpecName
  readonly tag: string
  readonly refused: boolean
  /** For whom a build was asked. */
  readonly generation: string | undefined
}

const documents = (model: Model): ReadonlyMap<DocumentName, Document> =>
  documentsOf(model.rows, model.has("18 open"))

/** Answers a command, the same for every delivery of it. */
export const execute = (model: Model, command: Command): Answer | "conflict" => {
  const body = JSON.stringify(command)
  const kept = model.log.outcomes.get(command.id)
  if (kept !== undefined) return kept.body === body ? kept.answer : "conflict"
  const answer = answerBefore(model, command) ?? decide(model, command)
  model.log.outcomes.set(command.id, { body, answer })
  return answer
}

/** The first answer of a command that left events, read off them. */
const answerBefore = (model: Model, command: Command): Answer | undefined => {
  const left = model.rows.filter(
    ({ cause, epoch }) => cause === command.id && (model.has("19") || epoch === model.epoch)
  )
  if (left.length === 0) return undefined
  if (left.some(({ fact }) => fact.type === "Submitted")) return "accepted"
  return left.some(({ fact }) => fact.type === "Removed" && fact.reason === "skipped") ? "skipped" : "removed"
}

const lastKey = (model: Model, document: DocumentName): number => model.log.orderKeys.get(document) ?? 0

const raiseKey = (model: Model, document: DocumentName, key: number, changed: boolean): void => {
  if (!changed && !model.has("17")) return
  if (!model.has("17 unknown") && !documents(model).has(document)) return
  model.log.orderKeys.set(document, Math.max(key, lastKey(model, document)))
}

const decide = (model: Model, command: Command): Answer => {
  const { document, key } = command
  const source = command.kind === "submit" ? command.movedFrom : undefined
  const lateHere = key < lastKey(model, document)
  const lateThere = source !== undefined && key < lastKey(model, source)
  const late = model.has("20") ? lateHere : lateHere || lateThere
  const leaving = source !== undefined && !lateThere && (model.has("20") || !late) ? source : undefined

  const spokenFor = [...(late ? [] : [document]), ...(leaving === undefined ? [] : [leaving])]

  const facts: Array<Fact> = []
  let answer: Answer
  let leavesNow = true
  if (late) answer = "superseded"
  else if (command.kind === "remove" || command.text === "") {
    const reason = command.kind === "remove" ? "requested" : "skipped"
    const removals = removalOf(model, document, reason, spokenFor)
    facts.push(...removals)
    answer = command.kind === "submit" ? "skipped" : removals.length === 0 ? "unchanged" : "removed"
  } else {
    const raw = digest(`raw:${command.text}`)
    const known = documents(model).get(document)
    const newest = newestOf(known)
    const removed = known?.removed === true && model.has("18 unchanged")
    if (newest?.raw === raw && newest.tag === command.tag && !removed) answer = "unchanged"
    else {
      answer = "accepted"
      leavesNow = false
      const { movedFrom, facts: given } = takeOver(model, document, leaving, key, spokenFor)
      facts.push(...given, {
        type: "Submitted",
        document,
        version: (newest?.version ?? 0) + 1,
        raw,
        tag: command.tag,
        orderKey: key,
        movedFrom
      })
      model.texts.set(raw, command.text)
      model.content.put(projectOf(document), "raw", command.text)
    }
  }
  if (leaving !== undefined && leavesNow) facts.push(...removalOf(model, leaving, "moved", spokenFor))
  if (facts.length > 0) model.append(command.id, ...facts)
  if (!late) raiseKey(model, document, key, facts.length > 0)
  if (leaving !== undefined) raiseKey(model, leaving, key, facts.length > 0)
  const leftOnly = facts.length > 0 && (late || answer === "unchanged")
  return leftOnly ? "removed" : answer
}

/** A removal of what is live, open or parked, and of what would have left with the open mutation. */
const removalOf = (
  model: Model,
  document: DocumentName,
  reason: Removal,
  spokenFor: ReadonlyArray<DocumentName>
): ReadonlyArray<Fact> => {
  const newest = newestOf(documents(model).get(document))
  const live = liveOf(documents(model).get(document))
  const pending = newest?.state === "open" || newest?.state === "parked"
  if (live === undefined && !pending) return []
  const facts: Array<Fact> = [{ type: "Removed", document, reason }]
  if (pending) facts.push(...goneWith(model, newest?.movedFrom, spokenFor))
  return facts
}

/** A newer submission takes over the move of the open one that it supersedes; of two sources one leaves at once. */
const takeOver = (
  model: Model,
  document: DocumentName,
  leaving: DocumentName | undefined,
  key: number,
  spokenFor: ReadonlyArray<DocumentName>
): { readonly movedFrom: Move | undefined; readonly facts: ReadonlyArray<Fact> } => {
  const newest = newestOf(documents(model).get(document))
  const pending = newest?.state === "open" || newest?.state === "parked" ? newest.movedFrom : undefined
  const inherited = stillLeaves(model, pending) ? pending : undefined
  if (leaving === undefined) return { movedFrom: inherited, facts: [] }
  const movedFrom = { document: leaving, key }
  return { movedFrom, facts: goneWith(model, inherited, spokenFor) }
}

/**
 * The removal that ends a move, unless the command in hand decides about its source itself. A source whose own move is
 * still open takes the source of that with it: of a chain of moves any link may be committed first.
 */
const goneWith = (
  model: Model,
  move: Move | undefined,
  spokenFor: ReadonlyArray<DocumentName>
): ReadonlyArray<Fact> =>
  move === undefined || !stillLeaves(model, move) || spokenFor.includes(move.document)
    ? []
    : removalOf(model, move.document, "moved", [...spokenFor, move.document])

/** A move takes its source away only if nothing newer was said of the source. */
const stillLeaves = (model: Model, move: Move | undefined): boolean =>
  move !== undefined && lastKey(model, move.document) === move.key

const jobOf = (model: Model, lane: string, document: DocumentName, version: number, spec: SpecName): string =>
  `${model.has("16 job") ? model.epoch : ""}:${lane}:${document}:${version}:${spec}`

/** The next piece of work on an open mutation, done: its content is stored, its result not yet delivered. */
export const work = (model: Model, document: DocumentName): Result | undefined => {
  const open = openOf(documents(model).get(document))
  if (open === undefined) return undefined
  const spec = liveSpec(model.rows)
  const project = projectOf(document)
  const chunking = open.chunkings.findLast(
    (one) =>
      one.spec === spec &&
      (!model.has("15 append") ||
        (model.content.blob(project, one.text) !== undefined &&
          model.content.blob(project, one.manifest) !== undefined))
  )
  const common = { document, version: open.version, spec, tag: open.tag, generation: undefined }
  if (chunking === undefined) {
    const prepared = prepare(model, document, spec, open.raw)
    return (
      prepared && {
        ...common,
        ...prepared,
        lane: "prepare",
        job: jobOf(model, "prepare", document, open.version, spec)
      }
    )
  }
  return {
    ...common,
    lane: "embed",
    job: jobOf(model, "embed", document, open.version, spec),
    refused: false,
    text: chunking.text,
    manifest: chunking.manifest,
    root: embed(model, document, spec, chunking.manifest)
  }
}

/** Builds the live version of a document for the spec of a generation. */
export const workBuild = (model: Model, generation: string, document: DocumentName): Result | undefined => {
  const live = liveOf(documents(model).get(document))
  const spec = generationsOf(model.rows).get(generation)?.spec
  if (live === undefined || spec === undefined) return undefined
  const prepared = prepare(model, document, spec, live.raw)
  if (prepared === undefined) return undefined
  const root = prepared.refused ? "" : embed(model, document, spec, prepared.manifest)
  const job = jobOf(model, "build", document, live.version, spec)
  return {
    ...prepared,
    root,
    job,
    lane: "build",
    document,
    version: live.version,
    spec,
    tag: live.tag,
    generation
  }
}

/** Nothing where the bytes are gone: the job fails and is tried again, for ever. */
const prepare = (model: Model, document: DocumentName, spec: SpecName, raw: string) => {
  const project = projectOf(document)
  const text = model.content.blob(project, raw)
  if (text === undefined) return undefined
  if (text.includes("!") || (spec === "S2" && text.includes("?"))) {
    return { refused: true, text: "", manifest: "", root: "" }
  }
  return {
    refused: false,
    text: model.content.put(project, "text", text),
    manifest: model.content.put(project, "manifest", JSON.stringify(cut(spec, document, text))),
    root: ""
  }
}

const embed = (model: Model, document: DocumentName, spec: SpecName, manifest: string): string => {
  const project = projectOf(document)
  const entries = model.content.manifest(project, manifest) ?? []
  model.content.embed(
    project,
    specs[spec].model,
    entries.map(({ input }) => input)
  )
  return rootOf(entries, model.content.vectorsOf(project, specs[spec].model, entries) ?? [])
}

/** Takes a result: `again` sends its job back, `stale` drops it because nobody waits for it. */
export const deliver = (model: Model, result: Result): "done" | "again" | "stale" => {
  const { document, version, spec } = result
  const all = documents(model)
  if (result.job !== jobOf(model, result.lane, document, version, spec)) return "stale"
  const one = result.lane === "build" ? liveOf(all.get(document)) : openOf(all.get(document))
  if (one === undefined || one.version !== version) return "stale"
  if (result.lane === "build") return deliverBuild(model, result)
  if (result.refused) {
    model.append(result.job, { type: "Rejected", document, version })
    return "done"
  }
  if (model.has("15 append") && !exists(model, result)) return "again"
  const { text, manifest, root, tag } = result
  if (result.lane === "prepare") {
    model.append(result.job, { type: "Chunked", document, version, spec, text, manifest })
    return "done"
  }
  if (model.has("13 commit") && spec !== liveSpec(model.rows)) return "again"
  const gone = goneWith(model, one.movedFrom, [document])
  const generation = undefined
  model.append(result.job, ...gone, {
    type: "Committed",
    document,
    version,
    spec,
    text,
    manifest,
    root,
    tag,
    generation
  })
  return "done"
}

const deliverBuild = (model: Model, result: Result): "done" | "again" => {
  const { document, version, spec, text, manifest, root, tag, generation } = result
  if (result.refused) {
    model.append(result.job, { type: "BuildParked", document, version, spec })
    return "done"
  }
  if (model.has("15 append") && !exists(model, result)) return "again"
  model.append(result.job, { type: "Built", document, version, spec, text, manifest, root, tag, generation })
  return "done"
}

const exists = (model: Model, result: Result): boolean => {
  const project = projectOf(result.document)
  return result.lane === "prepare"
    ? model.content.blob(project, result.text) !== undefined &&
        model.content.blob(project, result.manifest) !== undefined
    : model.content.load(result.document, result.spec, result, result.tag, true) !== undefined
}

/** Opens a parked mutation again, if its bytes are there. */
export const retry = (model: Model, document: DocumentName): boolean => {
  const newest = newestOf(documents(model).get(document))
  if (newest?.state !== "parked" || model.content.blob(projectOf(document), newest.raw) === undefined)
    return false
  model.append(`retry-${model.head}`, { type: "Retried", document, version: newest.version })
  return true
}

/** All mutations that are neither committed nor rolled back nor parked. */
export const openDocuments = (model: Model): ReadonlyArray<DocumentName> =>
  [...documents(model)].filter(([, document]) => openOf(document) !== undefined).map(([name]) => name)

/** Works and delivers until nothing is open. Bounded: what needs more rounds never ends. */
export const settle = (model: Model, between: () => void = () => {}): boolean => {
  for (let round = 0; round < 8; round++) {
    const open = openDocuments(model)
    if (open.length === 0) return true
    for (const document of open) {
      const result = work(model, document)
      between()
      if (result !== undefined) deliver(model, result)
    }
  }
  return openDocuments(model).length === 0
}

export const openGeneration = (model: Model, spec: SpecName): string => {
  const generation = `g00${generationsOf(model.rows).size + 1}`
  model.append(`open-${generation}`, { type: "Opened", generation, spec })
  return generation
}
