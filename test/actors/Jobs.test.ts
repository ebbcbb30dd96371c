import { assert, describe, it } from "@effect/vitest"
import { Inputs } from "../../actors/Coordinator/Inputs.ts"
import { type Job, Jobs } from "../../actors/Coordinator/Jobs.ts"
import { Lines } from "../../actors/Coordinator/Line.ts"
import { Outages } from "../../actors/Coordinator/Outages.ts"
import { usualSettings } from "../../actors/Coordinator/Settings.ts"
import { prepareWeight, type Work } from "../../actors/Coordinator/Work.ts"
import { defaultScope, type JobId, jobId, type Lane, ProjectName, sha256 } from "../../events/index.ts"
import { chunker, documentNamed, hashing, specOf, testSource } from "../support/writeSide.ts"

const limits = {
  lanes: { prepare: { window: 2, limitMs: 1000 }, embed: { window: 2, limitMs: 1000 } },
  unclaimedMs: 500,
  leaseMs: 10_000
}
const always = () => true
const code = chunker.fingerprint

const workNamed = (name: string, project = "default", sync?: number): Work => ({
  purpose: "commit",
  scope: { ...defaultScope, project: ProjectName.make(project) },
  documentId: documentNamed(name),
  sourceId: testSource,
  version: 1,
  raw: sha256(name),
  rawBytes: name.length,
  descriptor: sha256(name),
  commandId: name,
  orderKey: name,
  sync,
  movedFrom: undefined,
  moveKey: name,
  pair: { chunker: code, model: hashing.fingerprint },
  chunking: undefined,
  inputs: undefined,
  missing: new Set(),
  asking: new Set(),
  vectors: new Map(),
  computed: 0,
  ready: false,
  jobs: {},
  fresh: true
})

const idOf = (name: string): JobId => jobId(1, "prepare", [name])
const add = (jobs: Jobs, name: string, project = "default", lane: Lane = "prepare"): Job =>
  jobs.add({ id: idOf(name), lane, work: workNamed(name, project), code, known: true, solo: false })
const claim = (jobs: Jobs, job: Job, worker: string, now: number) =>
  jobs.claim({ jobId: job.id, attempt: job.attempt, worker, code }, now)._tag

describe("jobs", () => {
  it("hand out no more than the window", () => {
    const jobs = new Jobs(limits)
    for (const name of ["a", "b", "c"]) add(jobs, name)
    for (const _ of [1, 2]) {
      const job = jobs.next("prepare", always)
      if (job !== undefined) jobs.start(job, 1, 0)
    }
    assert.isUndefined(jobs.next("prepare", always))
  })

  it("are out in greater numbers where documents are small", () => {
    const outOf = (rawBytes: number): number => {
      const jobs = new Jobs({ ...limits, lanes: usualSettings(specOf(hashing)).lanes })
      for (let n = 0; n < 1000; n++) {
        const work = { ...workNamed(`${n}`), rawBytes }
        jobs.add({ id: idOf(`${n}`), lane: "prepare", work, code, known: true, solo: false })
      }
      for (let out = 0; ; out++) {
        const job = jobs.next("prepare", always)
        if (job === undefined) return out
        jobs.start(job, prepareWeight(job.work), 0)
      }
    }
    assert.deepStrictEqual([500, 40_000, 200_000_000].map(outOf), [64, 32, 32])
  })

  it("enqueued twice are enqueued once", () => {
    const jobs = new Jobs(limits)
    assert.strictEqual(add(jobs, "a"), add(jobs, "a"))
    assert.strictEqual(jobs.size, 1)
  })

  it("of many projects take turns", () => {
    const jobs = new Jobs({ ...limits, lanes: { ...limits.lanes, prepare: { window: 10, limitMs: 1 } } })
    for (const name of ["a1", "a2", "a3"]) add(jobs, name, "a")
    add(jobs, "b1", "b")
    const order: Array<string> = []
    for (let job = jobs.next("prepare", always); job !== undefined; job = jobs.next("prepare", always)) {
      jobs.start(job, 1, 0)
      order.push(job.work.commandId)
    }
    assert.deepStrictEqual(order, ["a1", "b1", "a2", "a3"])
  })

  it("are claimed by one worker, who may ask again", () => {
    const jobs = new Jobs(limits)
    const job = add(jobs, "a")
    assert.strictEqual(claim(jobs, job, "w1", 0), "Refused")
    jobs.next("prepare", always)
    jobs.start(job, 1, 0)
    assert.strictEqual(claim(jobs, job, "w1", 0), "Granted")
    assert.strictEqual(claim(jobs, job, "w2", 0), "Refused")
    assert.strictEqual(claim(jobs, job, "w1", 900), "Granted")
    assert.deepStrictEqual(jobs.due(1500), [])
    assert.deepStrictEqual(jobs.due(1901), [job])
  })

  it("are lost when their worker gives no sign of life for a lease, however long its lane may take", () => {
    const jobs = new Jobs({ ...limits, leaseMs: 100 })
    const job = add(jobs, "a")
    jobs.next("prepare", always)
    jobs.start(job, 1, 0)
    claim(jobs, job, "w1", 0)
    claim(jobs, job, "w1", 90)
    assert.deepStrictEqual(jobs.due(189), [])
    assert.deepStrictEqual(jobs.due(190), [job])
  })

  it("are sent again soon when their order came to a worker with other code", () => {
    const jobs = new Jobs({ ...limits, unclaimedMs: 9000 })
    const job = add(jobs, "a")
    jobs.next("prepare", always)
    jobs.start(job, 1, 0)
    jobs.claim({ jobId: job.id, attempt: 1, worker: "w", code: hashing.fingerprint }, 100)
    assert.deepStrictEqual(jobs.due(599), [])
    assert.deepStrictEqual(jobs.due(600), [job])
  })

  it("refuse a worker with other code, and an attempt that is over", () => {
    const jobs = new Jobs(limits)
    const job = add(jobs, "a")
    jobs.next("prepare", always)
    jobs.start(job, 1, 0)
    const request = { jobId: job.id, attempt: 1, worker: "w" }
    assert.strictEqual(jobs.claim({ ...request, code: hashing.fingerprint }, 0)._tag, "Refused")
    assert.strictEqual(jobs.claim({ ...request, attempt: 2, code }, 0)._tag, "Refused")
    jobs.requeue(job)
    jobs.next("prepare", always)
    jobs.start(job, 1, 0)
    assert.strictEqual(jobs.claim({ ...request, attempt: 1, code }, 0)._tag, "Refused")
    jobs.remove(job)
    assert.strictEqual(jobs.claim({ ...request, code }, 0)._tag, "Refused")
  })

  it("count as lost when nobody claims them in time", () => {
    const jobs = new Jobs(limits)
    const job = add(jobs, "a")
    jobs.next("prepare", always)
    jobs.start(job, 1, 0)
    assert.deepStrictEqual(jobs.due(499), [])
    assert.deepStrictEqual(jobs.due(500), [job])
  })

  it("that are delayed come back when they are due", () => {
    const jobs = new Jobs(limits)
    const job = add(jobs, "a")
    jobs.next("prepare", always)
    jobs.start(job, 1, 0)
    jobs.delay(job, 300)
    jobs.due(299)
    assert.isUndefined(jobs.next("prepare", always))
    jobs.due(300)
    assert.strictEqual(jobs.next("prepare", always), job)
  })

  it("P3: that were in flight in a crash run alone, before all others", () => {
    const jobs = new Jobs(limits)
    add(jobs, "a")
    const killer = add(jobs, "b")
    const other = add(jobs, "c", "default", "embed")
    jobs.makeSolo(killer)
    jobs.makeSolo(other)
    const first = jobs.next("prepare", always)
    assert.strictEqual(first, killer)
    if (first !== undefined) jobs.start(first, 1, 0)
    assert.isUndefined(jobs.next("prepare", always))
    assert.isUndefined(jobs.next("embed", always))
    jobs.remove(killer)
    assert.isUndefined(jobs.next("prepare", always))
    assert.strictEqual(jobs.next("embed", always), other)
    jobs.start(other, 1, 0)
    assert.isUndefined(jobs.next("prepare", always))
    jobs.remove(other)
    assert.strictEqual(jobs.next("prepare", always)?.work.commandId, "a")
  })

  it("of a paused lane wait, and hold up no other lane", () => {
    const jobs = new Jobs(limits)
    jobs.makeSolo(add(jobs, "a"))
    add(jobs, "b", "default", "embed")
    jobs.paused.add("prepare")
    assert.isUndefined(jobs.next("prepare", always))
    assert.strictEqual(jobs.next("embed", always)?.work.commandId, "b")
  })

  it("that may not run now let others of their project pass", () => {
    const jobs = new Jobs(limits)
    add(jobs, "a")
    add(jobs, "b")
    assert.strictEqual(jobs.next("prepare", ({ work }) => work.commandId === "b")?.work.commandId, "b")
    assert.strictEqual(jobs.next("prepare", always)?.work.commandId, "a")
  })
})

describe("an outage of a provider", () => {
  const model = hashing.fingerprint
  const outage = { provider: "test", message: "It is down.", refused: false }
  const given = () => new Outages({ firstPause: 100, longestPause: 300 })
  const nobody = () => false

  it("holds the model's jobs for a pause that grows, up to its limit", () => {
    const outages = given()
    let now = 0
    for (const pause of [100, 200, 300, 300]) {
      outages.notice(model, outage, now)
      assert.isFalse(outages.allows(model, now + pause - 1, nobody))
      assert.isTrue(outages.allows(model, now + pause, nobody))
      now += pause
    }
  })

  it("is one outage for all that failed within the pause", () => {
    const outages = given()
    for (const at of [0, 10, 99]) outages.notice(model, outage, at)
    assert.isTrue(outages.allows(model, 100, nobody))
  })

  it("is looked into by one job at a time, and holds no other model", () => {
    const outages = given()
    outages.notice(model, outage, 0)
    assert.isFalse(outages.allows(model, 100, () => true))
    assert.isTrue(outages.allows(code, 0, () => true))
  })

  it("is over when the model answers, or when nothing needs it", () => {
    const outages = given()
    outages.notice(model, outage, 0)
    outages.over(model)
    assert.isTrue(outages.allows(model, 0, () => true))
    outages.notice(model, outage, 0)
    outages.keepOnly(nobody)
    assert.isUndefined(outages.current)
  })
})

describe("vectors that are waited for", () => {
  const [one, two, three] = ["1", "2", "3"].map((text) => sha256(text))
  if (!one || !two || !three) throw new Error("There are three inputs.")
  const given = () => {
    const inputs = new Inputs()
    const a = workNamed("a")
    const b = workNamed("b")
    inputs.want(a, [one, two])
    inputs.want(b, [two, three])
    return { inputs, a, b }
  }

  it("are asked for once, by the first who needs them", () => {
    const { a, b, inputs } = given()
    assert.deepStrictEqual(inputs.ask(a), [one, two])
    assert.deepStrictEqual(inputs.ask(b), [three])
  })

  it("are there for everybody who waits, and are paid for by who asked", () => {
    const { a, b, inputs } = given()
    inputs.ask(a)
    const digest = sha256("vector")
    const waited = inputs.recorded(defaultScope, hashing.fingerprint, two, digest, true)
    assert.deepStrictEqual(waited, [a, b])
    assert.deepStrictEqual([a.computed, b.computed], [1, 0])
    assert.deepStrictEqual([[...a.missing], [...b.missing]], [[one], [three]])
  })

  it("are asked for by the next one when who asked gives up", () => {
    const { a, b, inputs } = given()
    inputs.ask(a)
    inputs.ask(b)
    assert.deepStrictEqual([...inputs.forget(a)], [b])
    assert.deepStrictEqual(inputs.ask(b), [two, three])
    assert.isFalse(inputs.isWanted(defaultScope, hashing.fingerprint, one))
  })

  it("of another project are not shared", () => {
    const { a, inputs } = given()
    inputs.ask(a)
    const other = workNamed("c", "other")
    inputs.want(other, [one])
    assert.deepStrictEqual(inputs.ask(other), [one])
  })
})

describe("the line of a sync", () => {
  const limits = { places: 3, patienceMs: 1000 }
  const inLine = (...names: ReadonlyArray<string>) => {
    const lines = new Lines(limits)
    const works = names.map((name) => workNamed(name, "default", 1))
    for (const work of works) lines.join(work, 0)
    return { lines, works }
  }
  const names = (works: ReadonlyArray<Work>) => works.map(({ commandId }) => commandId)

  it("commits in the order of submission, whatever is ready first", () => {
    const { lines, works } = inLine("a", "b", "c")
    const [a, b, c] = works
    if (!a || !b || !c) throw new Error("Three works stand in the line.")
    lines.ready(c)
    lines.ready(b)
    assert.deepStrictEqual(names(lines.release(0)), [])
    lines.ready(a)
    assert.deepStrictEqual(names(lines.release(0)), ["a", "b", "c"])
    assert.deepStrictEqual(names(lines.release(0)), [])
  })

  it("goes on past one that is retried, which is committed when it is ready", () => {
    const { lines, works } = inLine("a", "b")
    const [a, b] = works
    if (!a || !b) throw new Error("Two works stand in the line.")
    lines.ready(b)
    lines.leave(a)
    assert.deepStrictEqual(names(lines.release(0)), ["b"])
    lines.ready(a)
    assert.deepStrictEqual(names(lines.release(0)), ["a"])
  })

  it("goes on past one that holds up too many, or for too long", () => {
    const many = inLine("a", "b", "c", "d", "e")
    for (const work of many.works.slice(1)) many.lines.ready(work)
    assert.deepStrictEqual(names(many.lines.release(0)), ["b", "c", "d", "e"])
    const slow = inLine("a", "b")
    for (const work of slow.works.slice(1)) slow.lines.ready(work)
    assert.deepStrictEqual(names(slow.lines.release(1000)), [])
    assert.deepStrictEqual(names(slow.lines.release(1001)), ["b"])
  })

  it("does not hold up what belongs to no sync", () => {
    const { lines } = inLine("a")
    const pushed = workNamed("pushed")
    lines.join(pushed, 0)
    lines.ready(pushed)
    assert.deepStrictEqual(names(lines.release(0)), ["pushed"])
  })
})
