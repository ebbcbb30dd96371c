/**
 * Random histories of the model: commands, jobs, applies, sweeps, collections, promotions and searches in any order,
 * with crashes, late writes, lost and restored files and rollbacks among them. A history is its seed.
 *
 * After every single write, and after everything else that happens, each reader is asked what it would answer.
 */
import { acceptRollback, collect, erase } from "./Collector.ts"
import { type DocumentName, projectOf, type SpecName } from "./Contents.ts"
import {
  type Command,
  deliver,
  execute,
  openDocuments,
  openGeneration,
  type Result,
  retry,
  settle,
  work,
  workBuild
} from "./Coordinator.ts"
import {
  type Answer as CommandAnswer,
  copyOfLog,
  documentsOf,
  generationsOf,
  type LogFile,
  liveGeneration,
  liveOf,
  liveSpec,
  newestOf,
  truthAt
} from "./Facts.ts"
import { apply, landLate, type SentInsert, sweep } from "./Indexer.ts"
import { type Engine, finish, Model, type State, type Steps } from "./Model.ts"
import { neededBuilds, promote, retire } from "./Promotion.ts"
import { type Answer, faultsOf, Reader } from "./Reader.ts"
import { allRules, type Rules } from "./Rules.ts"
import { fingerprintOf, recompute, repair, verify } from "./Verification.ts"

/** Found a history in which a promise is broken. */
export class Broken extends Error {}

/** mulberry32: small, seeded, good enough to choose. */
export const randomOf = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

const paths = ["x", "y", "z"]
const projects = ["t/p", "t/q"]
const texts = ["a", "ab", "abc", "bca", "aab", "abcd", "cd", "", "b!", "a?"]

interface Task {
  readonly generation: string
  readonly steps: Steps<unknown>
  readonly sent: Array<SentInsert>
}

interface Kept<A> {
  readonly name: string
  readonly copy: A
}

export interface Tally {
  histories: number
  writes: number
  answers: number
  byEngine: number
  crashes: number
  promotions: number
  rollbacks: number
  collections: number
  erasures: number
}

export const emptyTally = (): Tally => ({
  histories: 0,
  writes: 0,
  answers: 0,
  byEngine: 0,
  crashes: 0,
  promotions: 0,
  rollbacks: 0,
  collections: 0,
  erasures: 0
})

export class Simulation {
  readonly model: Model
  private readonly random: () => number
  private readonly tally: Tally
  private readers: Array<Reader>
  private queries: Array<{ readonly reader: Reader; readonly steps: Steps<Answer | undefined> }> = []
  private tasks: Array<Task> = []
  private readonly late: Array<SentInsert> = []
  private readonly results: Array<Result> = []
  private readonly commands: Array<Command> = []
  private readonly delayed: Array<Command> = []
  private answers = new Map<string, CommandAnswer | "conflict">()
  private readonly engineCopies: Array<Kept<Engine>> = []
  private readonly stateCopies: Array<Kept<State>> = []
  private readonly logCopies: Array<LogFile> = []
  /** Per document, the newest thing that was asked for and what must be there in the end (unknown: rolled back). */
  private readonly wishes = new Map<
    DocumentName,
    { readonly key: number; readonly text: string | undefined }
  >()
  private lastKey = 0

  constructor(seed: number, rules: Rules = allRules, tally: Tally = emptyTally()) {
    this.random = randomOf(seed)
    this.model = new Model(rules)
    this.tally = tally
    openGeneration(this.model, "S1")
    this.readers = [new Reader(this.model), new Reader(this.model)]
  }

  /** Throws {@link Broken} if a promise is. */
  run(steps: number): void {
    this.tally.histories += 1
    for (let step = 0; step < steps; step++) {
      this.pick(this.choices())()
      this.model.now += this.chance(0.2) ? Math.floor(this.random() * 6) : 0
      this.look()
    }
    this.conclude()
  }

  private chance(probability: number): boolean {
    return this.random() < probability
  }

  private pick<A>(from: ReadonlyArray<A>): A {
    const picked = from[Math.floor(this.random() * from.length)]
    if (picked === undefined) throw new Error("Nothing to pick from.")
    return picked
  }

  private choices(): ReadonlyArray<() => void> {
    const { model } = this
    const weighted: Array<() => void> = []
    const add = (weight: number, act: () => void): void => {
      for (let n = 0; n < weight; n++) weighted.push(act)
    }
    add(10, () => this.command())
    add(2, () => this.lateCommand())
    add(2, () => this.redeliver())
    add(1, () => model.log.outcomes.clear())
    add(8, () => this.work())
    add(8, () => this.deliverOne())
    add(14, () => this.startApply())
    add(30, () => this.stepTask())
    add(4, () => this.startSweep())
    add(4, () => this.startPromote())
    add(2, () => this.openAnother())
    add(2, () => this.startRetire())
    add(3, () => {
      collect(model)
      this.tally.collections += 1
    })
    // What is under way may still see what is erased; what landed late, or is restored, would bring it back.
    if (this.queries.length === 0 && this.tasks.length === 0) add(2, () => this.erase())
    add(2, () => this.crash())
    add(3, () => this.landLate())
    add(4, () => this.startQuery())
    add(12, () => this.stepQuery())
    add(1, () => {
      this.readers[Math.floor(this.random() * this.readers.length)] = new Reader(model)
    })
    add(3, () => this.loseOrRestore())
    add(1, () => this.logCopies.push(copyOfLog(model.log)))
    if (this.chance(0.3)) add(1, () => this.rollback())
    return weighted
  }

  private documentName(): DocumentName {
    return `${this.pick(projects)}:${this.pick(paths)}` as DocumentName
  }

  private command(): void {
    this.lastKey += 1
    const key = this.lastKey
    const id = `c${key}`
    const document = this.documentName()
    const tag = this.chance(0.8) ? "plain" : "other"
    let command: Command = { kind: "submit", id, document, text: this.pick(texts), tag, key }
    if (this.chance(0.2)) command = { kind: "remove", id, document, key }
    else if (this.chance(0.15)) {
      const movedFrom = `${projectOf(document)}:${this.pick(paths)}` as DocumentName
      const source = newestOf(documentsOf(this.model.rows, true).get(movedFrom))
      const text = source && this.model.texts.get(source.raw)
      if (movedFrom !== document && text !== undefined && !/[!?]/.test(text)) {
        command = { kind: "submit", id, document, text, tag: source?.tag ?? tag, key, movedFrom }
      }
    }
    this.commands.push(command)
    if (this.chance(0.15)) this.delayed.push(command)
    else this.execute(command)
  }

  private execute(command: Command): void {
    const answer = execute(this.model, command)
    this.answers.set(command.id, answer)
    this.wish(command.document, command.key, command.kind === "remove" ? "" : command.text)
    if (command.kind === "submit" && command.movedFrom !== undefined)
      this.wish(command.movedFrom, command.key, "")
  }

  private erase(): void {
    this.lastKey += 1
    const id = `e${this.lastKey}`
    const document = this.documentName()
    this.late.length = 0
    erase(this.model, document, id, this.lastKey)
    this.wish(document, this.lastKey, "")
    this.engineCopies.length = 0
    this.stateCopies.length = 0
    this.tally.erasures += 1
  }

  private wish(document: DocumentName, key: number, text: string): void {
    const known = this.wishes.get(document)
    if (known === undefined || known.key < key) this.wishes.set(document, { key, text })
  }

  private lateCommand(): void {
    const command = this.delayed.shift()
    if (command !== undefined) this.execute(command)
  }

  private redeliver(): void {
    if (this.commands.length === 0) return
    const command = this.pick(this.commands)
    const first = this.answers.get(command.id)
    if (first === undefined) return
    const { head } = this.model
    const remembered = this.model.log.outcomes.has(command.id)
    const left = this.model.rows.some(({ cause }) => cause === command.id)
    const again = execute(this.model, command)
    if (this.model.head !== head) throw new Broken(`${command.id} delivered again appended something`)
    if ((remembered || left) && again !== first) {
      throw new Broken(`${command.id} was answered ${first}, and delivered again ${again}`)
    }
    this.answers.set(command.id, again)
  }

  private work(): void {
    const building = this.unretired().filter(({ state }) => state === "building" || state === "live")
    if (this.chance(0.3) && building.length > 0) {
      const { generation } = this.pick(building)
      const needed = neededBuilds(this.model, generation)
      const result = needed.length > 0 ? workBuild(this.model, generation, this.pick(needed)) : undefined
      if (result !== undefined) this.results.push(result)
      return
    }
    const open = openDocuments(this.model)
    if (open.length === 0) {
      if (this.chance(0.1)) retry(this.model, this.documentName())
      return
    }
    const result = work(this.model, this.pick(open))
    if (result !== undefined) this.results.push(result)
  }

  private deliverOne(): void {
    if (this.results.length === 0) return
    const at = Math.floor(this.random() * this.results.length)
    const [result] = this.chance(0.9) ? this.results.splice(at, 1) : this.results.slice(at, at + 1)
    if (result !== undefined) deliver(this.model, result)
  }

  private unretired() {
    return [...generationsOf(this.model.rows).values()].filter(({ state }) => state !== "retired")
  }

  private start(generation: string, steps: (sent: (one: SentInsert) => void) => Steps<unknown>): void {
    if (this.tasks.some((task) => task.generation === generation)) return
    const sent: Array<SentInsert> = []
    this.tasks.push({ generation, steps: steps((one) => sent.push(one)), sent })
  }

  private startApply(): void {
    const unretired = this.unretired()
    if (unretired.length === 0) return
    const { generation } = this.pick(unretired)
    const batch = (ends: ReadonlyArray<number>) =>
      ends.length === 0 ? undefined : this.chance(0.6) ? ends.at(-1) : this.pick(ends)
    this.start(generation, (sent) => apply(this.model, generation, batch, sent))
  }

  private startSweep(): void {
    const unretired = this.unretired()
    if (unretired.length === 0) return
    const { generation } = this.pick(unretired)
    this.start(generation, () => sweep(this.model, generation))
  }

  private startPromote(): void {
    const building = this.unretired().filter(({ state }) => state === "building")
    if (building.length === 0) return
    const { generation } = this.pick(building)
    if (this.tasks.some((task) => task.generation === generation)) return
    // The Coordinator holds appends for the last stretch.
    if (this.chance(0.7)) finish(apply(this.model, generation))
    const parked = [...(this.model.stateOf(generation)?.emptied ?? [])].filter(
      (document) => !neededBuilds(this.model, generation).includes(document)
    )
    const excluded = this.chance(0.5) ? parked : []
    this.start(generation, () => promote(this.model, generation, excluded))
  }

  private openAnother(): void {
    if (this.unretired().length >= 3) return
    openGeneration(this.model, this.pick<SpecName>(["S1", "S2"]))
  }

  private startRetire(): void {
    const states = this.chance(0.2) ? ["replaced", "building"] : ["replaced"]
    const candidates = this.unretired().filter(({ state }) => states.includes(state))
    if (candidates.length === 0) return
    const { generation } = this.pick(candidates)
    this.start(generation, () => retire(this.model, generation))
  }

  private stepTask(): void {
    if (this.tasks.length === 0) return
    const task = this.pick(this.tasks)
    const writes = this.chance(0.5) ? Number.POSITIVE_INFINITY : 3
    for (let write = 0; write < writes; write++) {
      if (this.step(task)) return
      this.look()
    }
  }

  private step(task: Task): boolean {
    const step = task.steps.next()
    this.tally.writes += 1
    if (step.done !== true) return false
    if (step.value === true) this.tally.promotions += 1
    this.tasks = this.tasks.filter((one) => one !== task)
    return true
  }

  private crash(): void {
    if (this.tasks.length > 0) this.tally.crashes += 1
    for (const { sent } of this.tasks) this.late.push(...sent)
    this.tasks = []
  }

  private landLate(): void {
    const sent = this.late.splice(Math.floor(this.random() * this.late.length), 1)[0]
    if (sent !== undefined) landLate(this.model, sent)
  }

  private startQuery(): void {
    const reader = this.pick(this.readers)
    this.queries.push({ reader, steps: reader.search(this.pick(projects)) })
  }

  private stepQuery(): void {
    const query = this.queries[Math.floor(this.random() * this.queries.length)]
    if (query === undefined) return
    const step = query.steps.next()
    if (step.done !== true) return
    this.queries = this.queries.filter((one) => one !== query)
    if (step.value !== undefined) this.check(query.reader, step.value)
  }

  private check(reader: Reader, answer: Answer): void {
    this.tally.answers += 1
    if (answer.generation !== undefined) this.tally.byEngine += 1
    const faults = faultsOf(this.model, reader, answer)
    if (faults.length > 0) throw new Broken(faults.join("\n"))
  }

  /** What would each reader answer right now? */
  private look(): void {
    for (const reader of this.readers) {
      for (const project of projects) {
        const probe = reader.probe()
        const answer = finish(probe.search(project))
        if (answer !== undefined) this.check(probe, answer)
      }
    }
  }

  /** Copies, restores, empties, deletes a file of the index or of the states. */
  private loseOrRestore(): void {
    const { model } = this
    const unretired = this.unretired()
    if (unretired.length === 0) return
    const { generation } = this.pick(unretired)
    const name = model.nameOf(generation)
    const engine = model.engineOf(generation)
    const state = model.states.get(name)
    const act = this.random()
    if (act < 0.3) this.engineCopies.push({ name, copy: copyOfEngine(engine) })
    else if (act < 0.6) {
      if (state !== undefined) this.stateCopies.push({ name, copy: state })
    } else if (act < 0.7) {
      engine.points.clear()
      engine.marker = undefined
    } else if (this.tasks.some((task) => task.generation === generation)) return
    else if (act < 0.83) {
      const kept = this.engineCopies.findLast((one) => one.name === name)
      if (kept === undefined) return
      const { points, marker } = copyOfEngine(kept.copy)
      engine.points = points
      engine.marker = marker
    } else if (act < 0.95) {
      const kept = this.stateCopies.findLast((one) => one.name === name)
      if (kept !== undefined) model.states.set(name, kept.copy)
    } else model.states.delete(name)
  }

  private rollback(): void {
    const older = this.logCopies.at(-1)
    if (older === undefined || older.rows.length >= this.model.head) return
    this.crash()
    acceptRollback(this.model, older)
    this.wishes.clear()
    for (const [document, key] of this.model.log.orderKeys)
      this.wishes.set(document, { key, text: undefined })
    this.answers.clear()
    this.logCopies.length = 0
    this.tally.rollbacks += 1
  }

  /** Faults are over: everything must come to rest, and agree. */
  private conclude(): void {
    const { model } = this
    this.crash()
    for (const command of this.delayed) this.execute(command)
    this.expect(settle(model), "some mutation stays open for ever")
    if (liveGeneration(model.rows) === undefined) {
      const first = this.unretired()[0]?.generation ?? openGeneration(model, "S1")
      this.bringUp(first)
    }
    for (const { generation, state } of this.unretired()) {
      if (state === "replaced") finish(retire(model, generation))
      else this.catchUp(generation)
    }
    const live = liveGeneration(model.rows)
    if (live !== undefined) this.catchUp(live.generation)
    const state = live && model.stateOf(live.generation)
    if (live === undefined || state === undefined) throw new Broken("no generation is live")
    this.expect(state.checkpoint === model.head, "the live generation does not reach the head")
    this.look()

    const paid = model.content.embedded
    const replayed = openGeneration(model, live.spec)
    this.bringUp(replayed, [...live.excluded])
    this.expect(this.printOf(replayed) === fingerprintOf(state), "incremental is not replay")
    this.expect(model.content.embedded === paid || live.excluded.size > 0, "a replay computed vectors")
    this.expect(this.freshPrint() === fingerprintOf(state), "incremental is not a fresh ingest")
    this.wishesHold()
    this.damageAndRepair(replayed)
  }

  private expect(holds: boolean, otherwise: string): void {
    if (!holds) throw new Broken(otherwise)
  }

  private printOf(generation: string): string {
    const state = this.model.stateOf(generation)
    return state === undefined ? "none" : fingerprintOf(state)
  }

  private catchUp(generation: string): void {
    const { model } = this
    for (let round = 0; round < 4; round++) {
      finish(apply(model, generation))
      this.expect(verify(model, generation).length === 0, `ledger and engine of ${generation} differ`)
      const differences = recompute(model, generation)
      this.expect(differences.length === 0, `${generation} differs from its refold: ${differences}`)
      const needed = neededBuilds(model, generation)
      if (needed.length === 0 && model.stateOf(generation)?.checkpoint === model.head) return
      for (const document of needed) {
        const result = workBuild(model, generation, document)
        if (result !== undefined) deliver(model, result)
      }
    }
  }

  private bringUp(generation: string, excluded: ReadonlyArray<DocumentName> = []): void {
    const { model } = this
    this.catchUp(generation)
    const parked = [...(model.stateOf(generation)?.emptied ?? [])]
    const promoted = finish(promote(model, generation, [...new Set([...excluded, ...parked])]))
    this.expect(promoted, `${generation} cannot be promoted`)
    this.catchUp(generation)
    this.look()
  }

  /** The end state, ingested by a model that knows nothing but the recorded vectors. */
  private freshPrint(): string {
    const { model } = this
    const fresh = new Model()
    for (const [key, vector] of model.content.vectors) fresh.content.vectors.set(key, vector)
    const generation = openGeneration(fresh, liveSpec(model.rows))
    let key = 0
    for (const document of truthAt(
      model.rows,
      model.noted,
      model.head,
      liveSpec(model.rows)
    ).visible.keys()) {
      const live = liveOf(documentsOf(model.rows, true).get(document))
      if (live === undefined) continue
      key += 1
      const text = model.texts.get(live.raw) ?? ""
      execute(fresh, { kind: "submit", id: `f${key}`, document, text, tag: live.tag, key })
    }
    settle(fresh)
    finish(apply(fresh, generation))
    this.expect(fresh.content.embedded === 0, "a fresh ingest with recorded vectors computed some")
    const state = fresh.stateOf(generation)
    return state === undefined ? "none" : fingerprintOf(state)
  }

  /** Each document ends with what the highest key asked for, whatever the order of delivery was. */
  private wishesHold(): void {
    const documents = documentsOf(this.model.rows, true)
    const parked = (project: string): boolean =>
      [...documents].some(([name, one]) => projectOf(name) === project && newestOf(one)?.state === "parked")
    for (const [name, { text }] of this.wishes) {
      if (text === undefined || parked(projectOf(name))) continue
      const live = liveOf(documents.get(name))
      const found = live === undefined ? "" : this.model.texts.get(live.raw)
      this.expect(found === text, `${name} should end as "${text}" but is "${found}"`)
    }
  }

  private damageAndRepair(generation: string): void {
    const { model } = this
    const engine = model.engineOf(generation)
    const victims = [...engine.points.values()].filter(({ until }) => until > model.head)
    const victim = victims[Math.floor(this.random() * victims.length)]
    if (victim === undefined) return
    const kind = this.pick(["missing", "extra", "leaf", "window"] as const)
    if (kind === "missing") engine.points.delete(victim.id)
    else if (kind === "extra") engine.points.set("extra", { ...victim, id: "extra" })
    else if (kind === "leaf") {
      engine.points.set(victim.id, { ...victim, chunk: { ...victim.chunk, leaf: "00".repeat(32) } })
    } else victim.until = model.head
    const [named] = verify(model, generation)
    this.expect(named?.what === kind, `a damage (${kind}) was named ${named?.what}`)
    repair(model, generation).next()
    finish(repair(model, generation))
    this.expect(verify(model, generation).length === 0, `a damage (${kind}) was not repaired`)
  }
}

const copyOfEngine = ({ points, marker }: Engine): Engine => ({
  points: new Map([...points].map(([id, point]) => [id, { ...point }])),
  marker
})
