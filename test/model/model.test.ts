/**
 * The model itself: nothing breaks in random histories, and each rule of the fold is needed, shown by the schedule that
 * breaks when that rule alone is left out.
 */
import { assert, describe, it } from "@effect/vitest"
import { acceptRollback, collect, erase } from "./Collector.ts"
import type { DocumentName, SpecName } from "./Contents.ts"
import {
  type Command,
  deliver,
  execute,
  openDocuments,
  openGeneration,
  settle,
  work,
  workBuild
} from "./Coordinator.ts"
import { copyOfLog, documentsOf, liveOf } from "./Facts.ts"
import { apply, landLate, type SentInsert, sweep } from "./Indexer.ts"
import { type Engine, finish, Model } from "./Model.ts"
import { neededBuilds, promote, retire } from "./Promotion.ts"
import { faultsOf, Reader } from "./Reader.ts"
import { allRules, type Rule, without } from "./Rules.ts"
import { emptyTally, Simulation } from "./Simulation.ts"
import { recompute, verify } from "./Verification.ts"

describe("random histories", () => {
  it("break no promise, whatever crashes, arrives late or is lost in between", () => {
    const tally = emptyTally()
    for (let seed = 1; seed <= 1000; seed++) new Simulation(seed, allRules, tally).run(40)
    for (let seed = 1; seed <= 600; seed++) new Simulation(1_000_000 + seed, allRules, tally).run(80)
    // What did not happen was not tested.
    assert.isAbove(tally.byEngine, 50_000)
    assert.isAbove(tally.crashes, 1_000)
    assert.isAbove(tally.promotions, 400)
    assert.isAbove(tally.rollbacks, 10)
    assert.isAbove(tally.collections, 1_500)
    assert.isAbove(tally.erasures, 300)
  }, 120_000)

  it("are the same for the same seed", () => {
    const rowsOf = (seed: number) => {
      const simulation = new Simulation(seed)
      simulation.run(60)
      return simulation.model.rows.map(({ position, cause, fact }) => `${position} ${cause} ${fact.type}`)
    }
    assert.deepStrictEqual(rowsOf(7), rowsOf(7))
  })
})

/** What went wrong in a schedule, in words. */
type Schedule = (model: Model) => ReadonlyArray<string>

/**
 * The schedule goes well with all rules and wrong without this one. `masks` are rules of our own without which the
 * schedule must go well, too, because they catch what the rule is there for.
 */
const needed = (
  rule: Rule,
  because: string,
  wrong: RegExp,
  schedule: Schedule,
  masks: ReadonlyArray<Rule> = []
): void =>
  it(`${rule}: ${because}`, () => {
    assert.deepStrictEqual(schedule(new Model(allRules)), [])
    assert.deepStrictEqual(schedule(new Model(without(...masks))), [])
    assert.match(schedule(new Model(without(rule, ...masks))).join("\n"), wrong)
  })

describe("what a reader sees", () => {
  needed(
    "1",
    "the log engine answers at the head, then an older checkpoint comes back",
    /V fell/,
    (model) => {
      const g1 = live(model, "S1")
      const reader = new Reader(model)
      ingest(model, x, "a")
      finish(apply(model, g1))
      ingest(model, x, "b")
      emptyEngine(model.engineOf(g1))
      const faults = ask(reader)
      finish(apply(model, g1, nothing))
      return [...faults, ...ask(reader)]
    }
  )

  needed(
    "1 exactly",
    "at the head instead of the floor, a lagging generation never comes back",
    /degraded/,
    (model) => {
      const g1 = live(model, "S1")
      const reader = new Reader(model)
      ingest(model, x, "a")
      emptyEngine(model.engineOf(g1))
      ask(reader)
      const answered = model.head
      finish(apply(model, g1, nothing))
      ingest(model, x, "b")
      const faults = ask(reader)
      finish(apply(model, g1, () => answered))
      const answer = finish(reader.search("t/p"))
      return [...faults, ...(answer?.generation === g1 ? [] : ["still degraded though it caught up"])]
    }
  )

  needed("1+", "the floor lies where content was collected since", /not the versions/, (model) => {
    ingest(model, x, "a")
    const g1 = live(model, "S1")
    const name = model.nameOf(g1)
    const older = model.states.get(name)
    ingest(model, "t/p:y", "c")
    finish(apply(model, g1))
    const reader = new Reader(model)
    const faults = ask(reader)
    ingest(model, x, "b")
    finish(apply(model, g1))
    sweepAfterGrace(model, g1)
    collect(model)
    if (older !== undefined) model.states.set(name, older)
    return [...faults, ...ask(reader)]
  })

  needed("2", "the engine is emptied between check and query", /not the versions/, (model) => {
    ingest(model, x, "a")
    const g1 = live(model, "S1")
    const reader = new Reader(model)
    const search = reader.search("t/p")
    search.next()
    search.next()
    emptyEngine(model.engineOf(g1))
    return judge(reader, finish(search))
  })

  needed("2 order", "the marker vouches for points that are not written yet", /not the versions/, (model) => {
    const g1 = live(model, "S1")
    const reader = new Reader(model)
    ingest(model, x, "ab")
    return during(apply(model, g1), () => ask(reader.probe()))
  })

  needed("3", "a batch ends between the two events of a move", /nowhere/, (model) => {
    ingest(model, x, "a")
    const g1 = live(model, "S1")
    const reader = new Reader(model)
    execute(model, { ...submit("t/p:y", "a"), movedFrom: x })
    settle(model)
    const faults: Array<string> = []
    while (model.stateOf(g1)?.checkpoint !== model.head) {
      finish(apply(model, g1, (ends) => ends[0]))
      const answer = finish(reader.probe().search("t/p"))
      if (answer?.chunks.length !== 1) faults.push(`at ${answer?.at} what was moved is nowhere`)
    }
    return faults
  })

  const replacedWhileHeld: Schedule = (model) => {
    ingest(model, x, "ab")
    const g1 = live(model, "S1")
    const g2 = built(model, "S2")
    const reader = new Reader(model)
    const search = reader.search("t/p")
    search.next()
    finish(promote(model, g2))
    ingest(model, "t/p:y", "cd")
    finish(apply(model, g1))
    const faults = judge(reader, finish(search))
    const asked = neededBuilds(model, g1)
    return asked.length === 0 ? faults : [...faults, "a replaced generation wants to be paid for"]
  }
  needed("4", "a replaced generation goes on and computes vectors", /wants to be paid/, replacedWhileHeld)
  needed("4", "a reader that still holds it loses documents", /not to be found/, replacedWhileHeld, ["12+"])
})

describe("crash, sweep, restore", () => {
  needed("5+", "an engine is copied in the middle of a rewind, and restored", /not the versions/, (model) => {
    const g1 = live(model, "S1")
    const reader = new Reader(model)
    ingest(model, x, "ab")
    crashAfter(apply(model, g1), "marker")
    const engine = model.engineOf(g1)
    const again = apply(model, g1)
    while (again.next().value !== "rewound insert") {
      /* up to the first point that goes */
    }
    const copy = copyOf(engine)
    finish(again)
    Object.assign(engine, copy)
    return ask(reader)
  })

  needed("6", "a sweep stops after its first deletion", /missing/, (model) => {
    ingest(model, x, "abc")
    const g1 = live(model, "S1")
    ingest(model, x, "d")
    finish(apply(model, g1))
    model.now += model.grace
    finish(apply(model, g1))
    return during(sweep(model, g1), () => verify(model, g1).map(({ what }) => what))
  })

  needed("7 sweep", "a removal recorded long ago is applied under a running query", /disturbed/, (model) => {
    ingest(model, x, "a")
    const g1 = live(model, "S1")
    const reader = new Reader(model)
    execute(model, { kind: "remove", id: "r", document: x, key: 5000 })
    model.now += 10 * model.grace
    const search = reader.search("t/p")
    for (let step = 0; step < 3; step++) search.next()
    finish(apply(model, g1))
    finish(sweep(model, g1))
    const answer = finish(search)
    return answer?.retries === 0 ? judge(reader, answer) : ["a query was disturbed"]
  })

  needed(
    "7 gc horizon",
    "a generation that lags shows what was superseded long ago",
    /text of .* gone/,
    (model) => {
      ingest(model, x, "a")
      const g1 = live(model, "S1")
      const reader = new Reader(model)
      ingest(model, x, "b")
      model.now += 10 * model.grace
      assert.strictEqual(model.stateOf(g1)?.horizon, 0)
      collect(model)
      return ask(reader)
    }
  )

  needed(
    "7 gc grace",
    "the log engine reads what was superseded a moment ago",
    /not the versions/,
    (model) => {
      ingest(model, x, "a")
      model.now += 10 * model.grace
      const reader = new Reader(model)
      const search = reader.search("t/p")
      search.next()
      search.next()
      ingest(model, x, "b")
      collect(model)
      return judge(reader, finish(search))
    }
  )

  needed(
    "8 engine",
    "an engine copy older than the sweep is caught up",
    /not the versions[\s\S]*extra/,
    (model) => {
      ingest(model, x, "a")
      const g1 = live(model, "S1")
      const engine = model.engineOf(g1)
      const older = copyOf(engine)
      ingest(model, x, "b")
      finish(apply(model, g1))
      sweepAfterGrace(model, g1)
      Object.assign(engine, older)
      finish(apply(model, g1))
      return [...ask(new Reader(model)), ...verify(model, g1).map(({ what }) => what)]
    }
  )

  needed("8 state", "a state older than the sweep goes on", /missing/, (model) => {
    ingest(model, x, "a")
    const g1 = live(model, "S1")
    const name = model.nameOf(g1)
    const older = model.states.get(name)
    ingest(model, x, "b")
    finish(apply(model, g1))
    sweepAfterGrace(model, g1)
    if (older !== undefined) model.states.set(name, older)
    finish(apply(model, g1))
    return verify(model, g1).map(({ what }) => what)
  })

  needed("8 marker", "the engine is emptied in the middle of an apply", /not the versions/, (model) => {
    const g1 = live(model, "S1")
    ingest(model, x, "ab")
    const steps = apply(model, g1)
    while (steps.next().value !== "insert") {
      /* up to the first point */
    }
    emptyEngine(model.engineOf(g1))
    finish(steps)
    return ask(new Reader(model))
  })

  const lateInsert = (model: Model): { readonly g1: string; readonly sent: SentInsert | undefined } => {
    const g1 = live(model, "S1")
    ingest(model, x, "a")
    const sent: Array<SentInsert> = []
    crashAfter(
      apply(model, g1, undefined, (one) => sent.push(one)),
      "insert"
    )
    finish(apply(model, g1))
    ingest(model, x, "b")
    finish(apply(model, g1))
    return { g1, sent: sent[0] }
  }
  needed(
    "9 insert",
    "a write of a dead process lands after its point has ended",
    /not the versions/,
    (model) => {
      const { sent } = lateInsert(model)
      if (sent !== undefined) landLate(model, sent)
      return ask(new Reader(model))
    }
  )
  needed("9 deadline", "it lands after its point was swept", /not the versions/, (model) => {
    const { g1, sent } = lateInsert(model)
    sweepAfterGrace(model, g1)
    if (sent !== undefined) landLate(model, sent)
    return ask(new Reader(model))
  })

  needed("10", "after a collection a fold gives surviving chunks another start", /windows/, (model) => {
    ingest(model, x, "ab")
    const g1 = live(model, "S1")
    ingest(model, x, "ac")
    finish(apply(model, g1))
    sweepAfterGrace(model, g1)
    collect(model)
    return recompute(model, g1)
  })
})

describe("generations", () => {
  needed("11 pair", "a generation that was built is replayed", /needs new builds/, (model) => {
    ingest(model, x, "ab")
    live(model, "S1")
    finish(promote(model, built(model, "S2")))
    const replayed = openGeneration(model, "S2")
    finish(apply(model, replayed))
    return neededBuilds(model, replayed).map((document) => `${document} needs new builds`)
  })

  needed(
    "11 root",
    "vectors that no event names yet are taken for an old build's",
    /not the versions/,
    (model) => {
      ingest(model, x, "ab")
      live(model, "S1")
      giveUp(model, built(model, "S2"))
      const g3 = openGeneration(model, "S2")
      finish(apply(model, g3))
      const result = workBuild(model, g3, x)
      const g4 = openGeneration(model, "S2")
      finish(apply(model, g4))
      if (!finish(promote(model, g4))) {
        if (result !== undefined) deliver(model, result)
        finish(apply(model, g4))
        assert.isTrue(finish(promote(model, g4)))
      }
      return ask(new Reader(model))
    }
  )

  needed(
    "12",
    "a reopened spec folds a document as empty, and nothing seems missing",
    /not the versions/,
    (model) => {
      ingest(model, x, "ab")
      live(model, "S1")
      giveUp(model, built(model, "S2"))
      const g3 = built(model, "S2")
      if (!finish(promote(model, g3))) return ["it cannot be promoted"]
      finish(apply(model, g3))
      return ask(new Reader(model))
    }
  )

  needed(
    "12+",
    "a live generation is folded anew past versions that were collected",
    /not the versions/,
    (model) => {
      ingest(model, x, "a")
      const g1 = live(model, "S1")
      const reader = new Reader(model)
      ingest(model, x, "b")
      ingest(model, x, "c")
      finish(apply(model, g1))
      sweepAfterGrace(model, g1)
      collect(model)
      model.states.delete(model.nameOf(g1))
      const faults: Array<string> = []
      do {
        finish(apply(model, g1, (ends) => ends[0]))
        faults.push(...ask(reader.probe()))
      } while (model.stateOf(g1)?.checkpoint !== model.head)
      return faults
    }
  )

  needed(
    "13 commit",
    "embedded under S1, S2 promoted, then committed",
    /not to be found under S2/,
    (model) => {
      ingest(model, "t/p:y", "cd")
      live(model, "S1")
      const g2 = built(model, "S2")
      execute(model, submit(x, "ab"))
      deliverNext(model, x)
      const late = work(model, x)
      finish(apply(model, g2))
      assert.isTrue(finish(promote(model, g2)))
      if (late !== undefined) deliver(model, late)
      settle(model)
      finish(apply(model, g2))
      return ask(new Reader(model))
    }
  )

  needed(
    "13 append",
    "a commit comes between verification and promotion",
    /not to be found under S2/,
    (model) => {
      live(model, "S1")
      const g2 = built(model, "S2")
      const promotion = promote(model, g2)
      promotion.next()
      ingest(model, x, "ab")
      finish(promotion)
      finish(apply(model, g2))
      return ask(new Reader(model))
    }
  )

  needed(
    "13 parked",
    "a document whose build is parked vanishes unnamed",
    /not to be found under S2/,
    (model) => {
      ingest(model, x, "a?")
      live(model, "S1")
      const g2 = built(model, "S2")
      if (!finish(promote(model, g2))) assert.isTrue(finish(promote(model, g2, [x])))
      finish(apply(model, g2))
      return ask(new Reader(model))
    }
  )
})

describe("gc and rollback", () => {
  needed("14 lost", "rolled back to a version whose content is gone", /not the versions/, (model) => {
    ingest(model, x, "a", 1)
    const backup = copyOfLog(model.log)
    ingest(model, x, "b", 2)
    model.now += 2 * model.grace
    collect(model)
    acceptRollback(model, backup)
    ingest(model, x, "a", 3)
    return ask(new Reader(model))
  })

  needed("14 open", "rolled back to an open mutation whose bytes are gone", /open for ever/, (model) => {
    execute(model, submit(x, "a", 1))
    const backup = copyOfLog(model.log)
    ingest(model, x, "b", 2)
    model.now += 2 * model.grace
    collect(model)
    acceptRollback(model, backup)
    return settle(model) ? [] : ["it stays open for ever"]
  })

  it("what is erased is found nowhere, not after everything is folded anew either, and what another has stays", () => {
    const model = new Model()
    const y: DocumentName = "t/p:y"
    ingest(model, x, "ab")
    ingest(model, y, "bc")
    const g1 = live(model, "S1")
    ingest(model, x, "abc")
    const reader = new Reader(model)
    assert.deepStrictEqual(ask(reader), [])
    const raws =
      documentsOf(model.rows, true)
        .get(x)
        ?.versions.map(({ raw }) => raw) ?? []
    erase(model, x, "erased", 9_999)
    assert.deepStrictEqual(ask(reader), [])
    const left = [...model.content.blobs.keys()].filter((address) =>
      raws.some((raw) => address.endsWith(raw))
    )
    assert.deepStrictEqual(left, [])
    assert.isTrue([...model.engineOf(g1).points.values()].every(({ chunk }) => chunk.document === y))
    model.states.clear()
    model.engines.clear()
    finish(apply(model, g1))
    assert.deepStrictEqual(ask(reader), [])
    assert.deepStrictEqual([textOf(model, x), textOf(model, y)], [undefined, "bc"])
  })

  needed("15 roots", "prepare, gc, result, prepare, gc, result …", /embeds for ever/, (model) => {
    execute(model, submit(x, "ab"))
    deliverNext(model, x)
    for (let round = 0; round < 5; round++) {
      const result = work(model, x)
      collect(model)
      if (result !== undefined) deliver(model, result)
    }
    return openDocuments(model).length === 0 && model.content.embedded === 2 ? [] : ["it embeds for ever"]
  })

  needed("15 append", "content is collected before the event that names it", /not the versions/, (model) => {
    execute(model, submit(x, "ab"))
    const prepared = work(model, x)
    collect(model)
    if (prepared !== undefined) deliver(model, prepared)
    settle(model)
    return ask(new Reader(model))
  })

  needed(
    "16 job",
    "a late result of a lost version is taken for the new one's",
    /not the versions/,
    (model) => {
      const backup = copyOfLog(model.log)
      execute(model, submit(x, "a", 1))
      const late = work(model, x)
      acceptRollback(model, backup)
      execute(model, submit(x, "b", 2))
      if (late !== undefined) deliver(model, late)
      settle(model)
      return ask(new Reader(model))
    }
  )

  needed("16 name", "an old write reaches a reused collection", /not the versions/, (model) => {
    const g1 = live(model, "S1")
    const backup = copyOfLog(model.log)
    ingest(model, "t/p:y", "a")
    const sent: Array<SentInsert> = []
    crashAfter(
      apply(model, g1, undefined, (one) => sent.push(one)),
      "insert"
    )
    acceptRollback(model, backup)
    ingest(model, x, "c")
    finish(apply(model, g1))
    for (const one of sent) landLate(model, one)
    return ask(new Reader(model))
  })
})

describe("commands", () => {
  needed("17", "key 1, key 3 unchanged, late key 2", /the late one won/, (model) => {
    ingest(model, x, "a", 1)
    ingest(model, x, "a", 3)
    ingest(model, x, "b", 2)
    return textOf(model, x) === "a" ? [] : ["the late one won"]
  })

  needed(
    "17 unknown",
    "removed before it was known, then the late submission",
    /the late one won/,
    (model) => {
      execute(model, { kind: "remove", id: "r", document: x, key: 3 })
      ingest(model, x, "a", 2)
      return textOf(model, x) === undefined ? [] : ["the late one won"]
    }
  )

  it("17: a removal of what is removed raises the key, too", () => {
    const model = new Model()
    ingest(model, x, "a", 1)
    execute(model, { kind: "remove", id: "r2", document: x, key: 2 })
    assert.strictEqual(execute(model, { kind: "remove", id: "r4", document: x, key: 4 }), "unchanged")
    assert.strictEqual(execute(model, submit(x, "a", 3)), "superseded")
  })

  needed("18 unchanged", "submit A, remove, submit A", /stays removed/, (model) => {
    ingest(model, x, "a", 1)
    execute(model, { kind: "remove", id: "r", document: x, key: 2 })
    ingest(model, x, "a", 3)
    return textOf(model, x) === "a" ? [] : ["it stays removed"]
  })

  needed("18 open", "submit, then remove while it is open", /committed afterwards/, (model) => {
    execute(model, submit(x, "a", 1))
    deliverNext(model, x)
    execute(model, { kind: "remove", id: "r", document: x, key: 2 })
    settle(model)
    return textOf(model, x) === undefined ? [] : ["it was committed afterwards"]
  })

  needed(
    "19",
    "accepted, rolled back to after it, outcome expired, delivered again",
    /superseded/,
    (model) => {
      const first = submit(x, "a", 1)
      const answer = execute(model, first)
      settle(model)
      ingest(model, x, "b", 2)
      const backup = copyOfLog(model.log)
      ingest(model, x, "c", 3)
      acceptRollback(model, backup)
      model.log.outcomes.clear()
      const { head } = model
      const again = execute(model, first)
      return [
        ...(again === answer ? [] : [`first ${answer}, then ${again}`]),
        ...(model.head === head ? [] : ["something was appended"])
      ]
    }
  )

  it("19: once outcomes have expired, whatever was delivered before appends nothing", () => {
    const model = new Model()
    const commands: ReadonlyArray<Command> = [
      submit(x, "a", 1),
      submit(x, "a", 2),
      submit(x, "", 3),
      { kind: "remove", id: "r", document: x, key: 4 },
      submit("t/p:y", "a", 6),
      submit("t/p:y", "b", 5)
    ]
    for (const command of commands) {
      execute(model, command)
      settle(model)
    }
    const { head } = model
    model.log.outcomes.clear()
    for (const command of commands) execute(model, command)
    assert.strictEqual(model.head, head)
  })

  needed("20", "a move that is late at its destination only", /stays where it was/, (model) => {
    ingest(model, x, "a", 1)
    ingest(model, "t/p:y", "new", 5)
    execute(model, { ...submit("t/p:y", "a", 3), movedFrom: x })
    settle(model)
    return [
      ...(textOf(model, x) === undefined ? [] : ["what was moved stays where it was"]),
      ...(textOf(model, "t/p:y") === "new" ? [] : ["the late one won"])
    ]
  })

  it("20: of a chain of open moves the last may be committed first, and nothing stays behind", () => {
    const model = new Model()
    ingest(model, x, "a", 1)
    execute(model, { ...submit("t/p:y", "a", 2), movedFrom: x })
    execute(model, { ...submit("t/p:z", "a", 3), movedFrom: "t/p:y" })
    deliverNext(model, "t/p:z")
    deliverNext(model, "t/p:z")
    settle(model)
    assert.deepStrictEqual(
      (["t/p:x", "t/p:y", "t/p:z"] as const).map((document) => textOf(model, document)),
      [undefined, undefined, "a"]
    )
  })

  it("20: moved away and back while the move was open, it is where it was", () => {
    const model = new Model()
    ingest(model, x, "a", 1)
    execute(model, { ...submit("t/p:y", "a", 2), movedFrom: x })
    execute(model, { ...submit(x, "a", 3), movedFrom: "t/p:y" })
    settle(model)
    assert.deepStrictEqual([textOf(model, x), textOf(model, "t/p:y")], ["a", undefined])
  })

  it("the same id with another body is a conflict", () => {
    const model = new Model()
    execute(model, submit(x, "a", 1))
    assert.strictEqual(execute(model, submit(x, "b", 1)), "conflict")
  })
})

const x: DocumentName = "t/p:x"
let lastKey = 1000

function submit(document: DocumentName, text: string, key = ++lastKey) {
  return { kind: "submit", id: `s${key}`, document, text, tag: "plain", key } as const
}

function ingest(model: Model, document: DocumentName, text: string, key?: number): void {
  execute(model, submit(document, text, key))
  settle(model)
}

function deliverNext(model: Model, document: DocumentName): void {
  const result = work(model, document)
  if (result !== undefined) deliver(model, result)
}

/** A generation at the head, with whatever needed building built. */
function built(model: Model, spec: SpecName): string {
  const generation = openGeneration(model, spec)
  finish(apply(model, generation))
  for (const document of neededBuilds(model, generation)) {
    const result = workBuild(model, generation, document)
    if (result !== undefined) deliver(model, result)
  }
  finish(apply(model, generation))
  return generation
}

function live(model: Model, spec: SpecName): string {
  const generation = built(model, spec)
  assert.isTrue(finish(promote(model, generation)))
  finish(apply(model, generation))
  return generation
}

/** Retired before it was promoted, and its content collected. */
function giveUp(model: Model, generation: string): void {
  finish(retire(model, generation))
  model.now += 2 * model.grace
  collect(model)
}

function sweepAfterGrace(model: Model, generation: string): void {
  model.now += 2 * model.grace
  finish(sweep(model, generation))
}

const nothing = () => undefined

function judge(reader: Reader, answer: Parameters<typeof faultsOf>[2] | undefined): ReadonlyArray<string> {
  return answer === undefined ? ["no answer"] : faultsOf(reader.model, reader, answer)
}

function ask(reader: Reader): ReadonlyArray<string> {
  return judge(reader, finish(reader.search("t/p")))
}

/** Looks after each write. */
function during(
  steps: Generator<string, unknown, void>,
  look: () => ReadonlyArray<string>
): ReadonlyArray<string> {
  const seen: Array<string> = []
  while (steps.next().done !== true) seen.push(...look())
  return seen
}

function crashAfter(steps: Generator<string, unknown, void>, write: string): void {
  for (;;) {
    const step = steps.next()
    if (step.done === true) throw new Error(`There was no write "${write}".`)
    if (step.value === write) return
  }
}

function emptyEngine(engine: Engine): void {
  engine.points.clear()
  engine.marker = undefined
}

function copyOf({ points, marker }: Engine): Engine {
  return { points: new Map([...points].map(([id, point]) => [id, { ...point }])), marker }
}

function textOf(model: Model, document: DocumentName): string | undefined {
  const found = liveOf(documentsOf(model.rows, true).get(document))
  return found === undefined ? undefined : model.texts.get(found.raw)
}
