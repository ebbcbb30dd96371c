/**
 * What must hold of every run, whatever struck: predicates over what the senders and searchers saw, over the files as
 * second readers read them, and over a plain model of what each command asks for. The numbers are those of the oracles.
 */
import { join } from "node:path"
import { generationFolder, generationsIn, markerIn, projectFiles, readIndex } from "../model/IndexFile.ts"
import { type LogRow, lastFound, liveVersionsAt } from "../model/LogFile.ts"
import { Broken } from "./Broken.ts"
import { idOf, type Sent } from "./Commands.ts"
import { breachOf, Still } from "./Files.ts"
import type { AtRest, Proof } from "./Rest.ts"
import type { Searched } from "./Searches.ts"
import type { Simulation } from "./Simulation.ts"
import { batchSize, concurrency } from "./Surroundings.ts"

/** Throws {@link Broken}, naming the oracle. */
export const judge = (run: Simulation): void => {
  const { atRest } = run
  if (atRest === undefined) throw new Broken("I14: it did not come to rest")
  const still = new Still(atRest.directory)
  const { rows } = still
  const log = new History(rows)
  soundLog(still)
  acknowledged(run, log)
  finalState(run, log, atRest)
  erased(log, still, generationFolder(join(atRest.directory, "index"), atRest.generation))
  sameIndex(run, log, still, atRest)
  for (const one of run.searched) answered(one, log)
  forward(run.searched)
  paid(run, log)
  unharmed(run)
}

const holds = (condition: boolean, what: () => string): void => {
  if (!condition) throw new Broken(what())
}

const shown = (value: unknown): string => JSON.stringify(value)

interface Pair {
  readonly chunker: string
  readonly model: string
}

/** The log as a second reader reads it. */
class History {
  readonly rows: ReadonlyArray<LogRow>
  readonly events: ReadonlyArray<{
    readonly type: string
    readonly project: string
    readonly data: Readonly<Record<string, unknown>>
  }>
  readonly #promotions: ReadonlyArray<{ readonly position: number; readonly pair: Pair }>

  constructor(rows: ReadonlyArray<LogRow>) {
    this.rows = rows
    this.events = rows.map((row) => ({
      type: row.type.toString("utf8"),
      project: row.project.toString("utf8"),
      data: JSON.parse(row.data.toString("utf8"))
    }))
    const pairs = new Map(this.of("GenerationOpened").map(({ data }) => [data["generation"], data["spec"]]))
    this.#promotions = this.events.flatMap(({ data, type }, at) =>
      type === "GenerationPromoted" ? [{ position: at + 1, pair: pairs.get(data["generation"]) as Pair }] : []
    )
  }

  /** Under which pairs the live generations stood from one position to another. */
  pairsIn(from: number, to: number): ReadonlyArray<Pair> {
    return this.#promotions
      .filter(({ position }, at) => position <= to && (this.#promotions[at + 1]?.position ?? to + 1) > from)
      .map(({ pair }) => pair)
  }

  /** What is live in the end, under the pair of then. */
  get live() {
    const [pair] = this.pairsIn(this.rows.length, this.rows.length)
    return liveVersionsAt(this.rows, this.rows.length, pair ?? { chunker: "", model: "" })
  }

  of(type: string) {
    return this.events.filter((event) => event.type === type)
  }

  /** The position of a project's sequence. */
  positionOf(project: string, sequence: number): number {
    let seen = 0
    for (const [at, event] of this.events.entries())
      if (event.project === project && ++seen > sequence) return at
    return this.events.length
  }

  /** By document of a project what is live at a sequence: while a generation takes over it is what either of the two has. */
  liveAt(project: string, sequence: number) {
    const position = this.positionOf(project, sequence)
    const from = sequence === 0 ? 0 : this.positionOf(project, sequence - 1) + 1
    return this.pairsIn(from, position).map((pair) => {
      const all = liveVersionsAt(this.rows, position, pair)
      return [...all].filter(([, { scope }]) => scope === `team/${project}`)
    })
  }

  /** The position of the last event that says so of a document; 0 where none does. */
  erasedAt(document: string): number {
    return (
      1 +
      this.events.findLastIndex(
        ({ data, type }) => type === "DocumentErased" && data["documentId"] === document
      )
    )
  }

  /** The version that a command submitted. */
  versionOf(command: string): number | undefined {
    const version = this.of("DocumentSubmitted").find(({ data }) => data["commandId"] === command)?.data[
      "version"
    ]
    return version === undefined ? undefined : Number(version)
  }

  /** The command that submitted a version. */
  submission(document: string, version: number): unknown {
    return this.events.find(
      ({ data, type }) =>
        type === "DocumentSubmitted" && data["documentId"] === document && data["version"] === version
    )?.data["commandId"]
  }

  /** The last version of a document that was erased; 0 where none was. */
  erasedUpTo(document: unknown): number {
    return Math.max(
      0,
      ...this.of("DocumentErased").map(({ data }) =>
        data["documentId"] === document ? Number(data["version"]) : 0
      )
    )
  }
}

/** I1: chain, positions, versions, sequences, witnesses. */
const soundLog = ({ faults }: Still): void => {
  holds(faults.length === 0, () => `I1: the log is not sound: ${shown(faults)}`)
}

/** I2, I4: what was answered as accepted is in the log, once; a version is committed once. */
const acknowledged = (run: Simulation, log: History): void => {
  const submissions = log.of("DocumentSubmitted")
  for (const { answer, command } of run.sent) {
    const left = submissions.filter(({ data }) => data["commandId"] === command.commandId)
    const expected = answer?.outcome === "accepted" ? 1 : 0
    holds(
      left.length === expected,
      () => `I2: ${command.commandId} was answered ${answer?.outcome} and left ${left.length} submissions`
    )
    if (answer?.outcome !== "accepted") continue
    holds(
      log.events[answer.position - 1]?.data["commandId"] === command.commandId,
      () => `I2: ${command.commandId} was acknowledged at ${answer.position}, where another event stands`
    )
  }
  const committed = log.of("DocumentCommitted").map(({ data }) => `${data["documentId"]} ${data["version"]}`)
  holds(
    new Set(committed).size === committed.length,
    () => `I4: a version was committed twice: ${shown(committed)}`
  )
}

/** I14, I15 and the wishes: the command with the highest key about a document decides what is found of it. */
const finalState = (run: Simulation, log: History, { parked }: AtRest): void => {
  const poison = run.sent.filter(({ text }) => text !== undefined && /[!?]/.test(text))
  const isPoisoned = new Set(poison.map(({ command, document }) => idOf(command.scope.project, document)))
  for (const { documentId, reason } of parked)
    holds(
      [...isPoisoned].some((id) => id === documentId) && reason !== undefined,
      () => `I15: ${documentId} is parked (${reason}), and nothing is wrong with it`
    )
  const decisive = new Map<string, { readonly sent: Sent; readonly leaves: boolean }>()
  for (const sent of [...run.sent].sort((one, other) => one.key - other.key)) {
    const { project } = sent.command.scope
    decisive.set(idOf(project, sent.document), { sent, leaves: false })
    if (sent.movedFrom !== undefined) decisive.set(idOf(project, sent.movedFrom), { sent, leaves: true })
  }
  const { live } = log
  for (const [document, { leaves, sent }] of decisive) {
    if (!leaves && poison.includes(sent)) continue
    const version = live.get(document)?.version
    const found = version === undefined ? undefined : textOf(run, log.submission(document, version))
    const wished = leaves || sent.text === undefined || sent.text === "" ? undefined : sent.text
    const upTo = log.erasedUpTo(document)
    const submitted = log.versionOf(sent.command.commandId)
    // What an erasure met is gone. Whether one met what opened nothing of its own cannot be told.
    if (upTo > 0 && found === undefined && (submitted === undefined || submitted <= upTo)) continue
    holds(
      found === wished && (version === undefined || version > upTo),
      () =>
        `I14: ${document} should hold ${shown(wished)} after ${sent.command.commandId}, and holds ${shown(found)}`
    )
  }
  const asked = new Set<string>(decisive.keys())
  for (const document of live.keys()) holds(asked.has(document), () => `I3: nobody asked for ${document}`)
}

/** G8: neither content nor points are left of what was erased, but for content that something else has as well. */
const erased = (log: History, still: Still, folder: string): void => {
  const contents = (["DocumentSubmitted", "DocumentChunked", "DocumentCommitted"] as const).flatMap((type) =>
    log.of(type).map(({ data, project }) => ({
      project,
      isErased: Number(data["version"]) <= log.erasedUpTo(data["documentId"]),
      digests: [data["raw"], data["descriptor"], data["textBlob"], data["manifestBlob"]].flatMap((digest) =>
        typeof digest === "string" ? [`${project} ${digest}`] : []
      )
    }))
  )
  if (!contents.some(({ isErased }) => isErased)) return
  const kept = new Set(contents.flatMap(({ digests, isErased }) => (isErased ? [] : digests)))
  const stored = still.bodies
  const left = contents.flatMap(({ digests, isErased }) =>
    isErased ? digests.filter((digest) => stored.has(digest) && !kept.has(digest)) : []
  )
  holds(left.length === 0, () => `G8: content is left of what was erased: ${shown(left)}`)
  for (const [, path] of projectFiles(folder))
    for (const { documentId, from } of still.points(path))
      holds(
        from > log.erasedAt(documentId),
        () => `G8: a point of ${documentId} from ${from} is left, which was erased`
      )
}

const textOf = (run: Simulation, command: unknown): string | undefined =>
  run.sent.find((sent) => sent.command.commandId === command)?.text

/** By what is live: the fingerprint that every run with the same contents has. */
const fingerprints = new Map<string, string>()

/** I5, I7: the index read from its bytes, the naive fold, the folded state, a replay, and other runs agree. */
const sameIndex = (run: Simulation, log: History, still: Still, { directory, generation, proof }: AtRest) => {
  const throws = run.faults.count("throw")
  if (proof !== undefined) proved(proof)
  const index = join(directory, "index")
  const retired = log.of("GenerationRetired").map(({ data }) => `${data["generation"]}-e1`)
  const left = generationsIn(index).filter((name) => retired.includes(name))
  // Code that is thrown out of deleting them leaves them to the next start.
  holds(
    left.length === 0 || throws > 0,
    () => `I9: retired generations are left in the index: ${shown(left)}`
  )
  const folder = generationFolder(index, generation)
  const head = log.rows.length
  const checkpoint = markerIn(folder)?.checkpoint ?? -1
  holds(
    lastFound(log.rows) <= checkpoint && checkpoint <= head,
    () => `I7: the index stands at ${checkpoint}, not at ${lastFound(log.rows)} or later`
  )
  const read = readIndex(folder, head, still.points)
  holds(read.faults.length === 0, () => `I6: the index holds what it must not: ${shown(read.faults)}`)
  const found = [...read.projects].flatMap(([project, { documents }]) =>
    [...documents].map(([document, chunks]) => `${document} ${project} ${chunks.size}`)
  )
  const { live } = log
  const expected = [...live].map(([document, { chunks, scope }]) => `${document} ${scope} ${chunks}`)
  holds(
    shown(found.sort()) === shown(expected.sort()),
    () => `I5: found ${shown(found)}, expected ${shown(expected)}`
  )
  tagged(run, log, still, folder, live)
  const broken = breachOf(still, run.sent, true)
  holds(broken === undefined, () => `${broken} (at rest)`)
  const contents = shown([
    log.pairsIn(head, head),
    [...live].map(([document, { version }]) => [document, ...rawOf(log, document, version)]).sort()
  ])
  const known = fingerprints.get(contents)
  fingerprints.set(contents, read.fingerprint)
  holds(
    known === undefined || known === read.fingerprint,
    () => `I5: the same contents had the fingerprint ${known} and now ${read.fingerprint}`
  )
}

const proved = ({ paidByReplay, recomputed, replayed, verified }: Proof): void => {
  holds(recomputed.equal, () => `I5: folded anew, the state differs: ${shown(recomputed)}`)
  for (const report of [verified, replayed])
    holds(
      report.fingerprint.equal && report.missing + report.extra + report.different + report.unbuilt === 0,
      () => `I5: the index differs from its ledger: ${shown(report)}`
    )
  holds(
    verified.fingerprint.actual === replayed.fingerprint.actual,
    () => `I5: ${verified.fingerprint.actual} became ${replayed.fingerprint.actual} by a replay`
  )
  holds(paidByReplay === 0, () => `I13: a replay asked the provider for ${paidByReplay} inputs`)
}

const rawOf = (log: History, document: string, version: number): ReadonlyArray<unknown> => {
  const submitted = log
    .of("DocumentSubmitted")
    .find(({ data }) => data["documentId"] === document && data["version"] === version)
  return [submitted?.data["raw"], submitted?.data["descriptor"]]
}

/** I5: what filters go by is what the live version says, also of chunks that an earlier one had. */
const tagged = (
  run: Simulation,
  log: History,
  { points }: Still,
  folder: string,
  live: ReadonlyMap<string, { readonly version: number }>
): void => {
  for (const [, path] of projectFiles(folder)) {
    for (const { documentId, from, payload, until } of points(path)) {
      if (log.rows.length < from || until <= log.rows.length) continue
      const command = log.submission(documentId, live.get(documentId)?.version ?? 0)
      const said = run.sent.find((sent) => sent.command.commandId === command)?.tag
      const found = JSON.parse(payload.toString("utf8"))["metadata"]?.tag
      holds(found === said, () => `I5: ${documentId} says ${said}, and a filter finds it as ${found}`)
    }
  }
}

/** I8, I10, I12: an answer is exactly what is live in its project at its position, and nothing else. */
const answered = ({ answer, project }: Searched, log: History): void => {
  const found = new Map<string, { readonly version: number; chunks: number }>()
  for (const { documentId, version } of answer.hits) {
    const one = found.get(documentId) ?? { version, chunks: 0 }
    holds(
      one.version === version,
      () => `I8: an answer holds versions ${one.version} and ${version} of ${documentId}`
    )
    found.set(documentId, { version, chunks: one.chunks + 1 })
  }
  const expected = log.liveAt(project, answer.indexedPosition)
  const said = [...found].map(([id, { chunks, version }]) => `${id} v${version} ${chunks}`).sort()
  const due = expected.map((live) =>
    live.map(([id, { chunks, version }]) => `${id} v${version} ${chunks}`).sort()
  )
  holds(
    due.some((one) => shown(said) === shown(one)),
    () =>
      `I8: at ${project}'s ${answer.indexedPosition} a search found ${shown(said)}; live were ${due.map(shown).join(" or ")}`
  )
}

/** I10: what a process has shown once it never takes back. */
const forward = (searched: ReadonlyArray<Searched>): void => {
  for (const { answer, floor } of searched)
    holds(
      answer.indexedPosition >= floor,
      () =>
        `I10: a search at ${answer.indexedPosition} began after one at ${floor} was answered by the same process`
    )
}

/** I13: an input is paid for once, but for what was in flight where something struck. */
const paid = (run: Simulation, log: History): void => {
  const recorded = log.of("VectorsRecorded").reduce((sum, { data }) => sum + Number(data["count"]), 0)
  const { faults } = run
  const strokes =
    faults.count(
      "kill",
      "throw",
      "lose",
      "delay",
      "repeat",
      "slow",
      "shape",
      "nan",
      "busy",
      "away",
      "refuse"
    ) + run.deaths
  // What is in flight for a version that a newer one supersedes is thrown away.
  const superseded = log.of("DocumentSubmitted").length - log.of("DocumentCommitted").length
  const refusals = run.sent.filter(({ text }) => text?.includes("?")).length
  const bound = recorded + (strokes + superseded) * batchSize * concurrency + refusals * batchSize * 8
  holds(
    run.paid <= bound,
    () => `I13: ${run.paid} inputs were paid for, ${recorded} were recorded (bound ${bound})`
  )
}

/** A1: no actor falls by itself. */
const unharmed = (run: Simulation): void => {
  if (run.faults.count("throw") > 0) return
  holds(
    run.restarts === 0,
    () => `A1: actors were restarted ${run.restarts} times, and nothing was thrown at them`
  )
}
