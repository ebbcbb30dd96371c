import { assert, describe, it } from "@effect/vitest"
import type { Database } from "better-sqlite3"
import { Effect, FastCheck } from "effect"
import {
  buildJobId,
  CodeFingerprint,
  DocumentBuilt,
  DocumentChunked,
  DocumentCommitted,
  DocumentRejected,
  DocumentRemoved,
  DocumentVersion,
  defaultScope,
  documentStream,
  type Event,
  embedJobId,
  GenerationId,
  GenerationOpened,
  GenerationPromoted,
  GenerationRetired,
  GenerationVerified,
  generationsStream,
  JobCancelled,
  type JobId,
  JobParked,
  JobRetried,
  jobStream,
  type Lane,
  operatorScope,
  Position,
  prepareJobId,
  RemovalsApproved,
  RemovalsHeld,
  SourceAdded,
  SourceRemoved,
  SyncCompleted,
  SyncFailed,
  SyncStarted,
  sha256,
  sourceStream,
  VectorsRecorded,
  vectorsStream
} from "../../events/index.ts"
import type { NewEvent } from "../../src/log/Log.ts"
import {
  foldedEvents,
  readModelTables,
  rebuildReadModels,
  tableRows
} from "../../src/log/readModels/Rebuild.ts"
import { rowOfJob } from "../../src/log/readModels/Rows.ts"
import type { WriterCore } from "../../src/log/WriterCore.ts"
import {
  chunked,
  chunker,
  committed,
  documentNamed,
  model,
  openTestWriter,
  requestOf,
  source,
  submitted
} from "../support/logEvents.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const on = (name: string, event: Event): NewEvent => ({ stream: documentStream(documentNamed(name)), event })
const ofJob = (event: JobParked | JobRetried | JobCancelled): NewEvent => ({
  stream: jobStream(event.jobId),
  event
})
const ofSource = (event: Event): NewEvent => ({ stream: sourceStream(source), event })
const ofGenerations = (event: Event): NewEvent => ({ stream: generationsStream, event })

const reason = { code: "broken", message: "It cannot be read." }
const version = (n: number) => DocumentVersion.make(n)
const removed = (name: string, why: DocumentRemoved["reason"] = "requested") =>
  new DocumentRemoved({ documentId: documentNamed(name), reason: why, commandId: "remove", orderKey: "" })
const rejected = (name: string, n = 1) =>
  new DocumentRejected({ documentId: documentNamed(name), version: version(n), reason })
const otherModel = CodeFingerprint.make("other-0123456789ab")
const pair = { chunker, model: otherModel }
const built = (name: string, n = 1) =>
  new DocumentBuilt({ ...chunked(name, n), ...pair, vectorsRoot: sha256(`built ${name} ${n}`) })
const prepareJob = (name: string, n = 1) => prepareJobId(1, documentNamed(name), n, submitted(name, n).raw)
const embedJob = (name: string, n = 1) => embedJobId(1, documentNamed(name), n, chunked(name, n).manifestBlob)
const buildJob = (name: string, n = 1) => buildJobId(1, "embed", documentNamed(name), n, pair)
const parked = (name: string, n: number, lane: Lane, jobId: JobId) =>
  new JobParked({
    jobId,
    lane,
    documentId: documentNamed(name),
    version: n,
    code: chunker,
    attempts: 3,
    reason
  })
const generation = (n: number) => GenerationId.make(`g00${n}`)
const spec = {
  engine: "embedded",
  chunker,
  model,
  modelName: "hashing",
  dimensions: 4,
  analyzer: CodeFingerprint.make("english-0123456789ab"),
  payload: 1
} as const
const counts = {
  added: 1,
  updated: 0,
  moved: 0,
  unchanged: 0,
  removed: 0,
  skipped: 0,
  held: 0,
  parked: 0,
  failed: 0
}

let causes = 0
const append = (
  core: WriterCore,
  events: ReadonlyArray<NewEvent>,
  scope: { team: string; project: string } = defaultScope
) => {
  causes += 1
  const { outcomes } = core.writeGroup([
    requestOf([{ ...scope, cause: `cause-${causes}`, actor: "test", correlationId: "test", events }])
  ])
  if (outcomes[0]?._tag !== "Written") throw new Error(JSON.stringify(outcomes))
}

/** The one row (as an object) of a table that the condition picks, after these appends. */
const rowsAfter = <Row>(appends: ReadonlyArray<ReadonlyArray<NewEvent>>, sql: string) =>
  Effect.gen(function* () {
    const { close, core } = openTestWriter(yield* temporaryDirectory)
    for (const events of appends) append(core, events)
    const rows = core.withDatabases((log) => log.prepare<[], Row>(sql).all())
    close()
    return rows
  })

const documentRow = `SELECT submitted_version AS submitted, open, live_version AS live, removed, parked_job AS parked,
  stream_version AS stream FROM documents`
const jobStates = "SELECT job_id AS job, state FROM jobs ORDER BY queued_position, job_id"

describe("documents", () => {
  it.scoped("are open once submitted, live once committed", () =>
    Effect.gen(function* () {
      const submission = [on("a", submitted("a"))]
      assert.deepStrictEqual(yield* rowsAfter([submission], documentRow), [
        { submitted: 1, open: 1, live: null, removed: null, parked: null, stream: 1 }
      ])
      assert.deepStrictEqual(
        yield* rowsAfter([submission, [on("a", chunked("a"))], [on("a", committed("a"))]], documentRow),
        [{ submitted: 1, open: 0, live: 1, removed: null, parked: null, stream: 3 }]
      )
    })
  )

  it.scoped("keep the former version live while a newer one is open, and when it is rejected", () =>
    Effect.gen(function* () {
      const first = [on("a", submitted("a")), on("a", committed("a")), on("a", submitted("a", 2))]
      assert.deepStrictEqual(yield* rowsAfter([first], documentRow), [
        { submitted: 2, open: 1, live: 1, removed: null, parked: null, stream: 3 }
      ])
      assert.deepStrictEqual(yield* rowsAfter([first, [on("a", rejected("a", 2))]], documentRow), [
        { submitted: 2, open: 0, live: 1, removed: null, parked: null, stream: 4 }
      ])
    })
  )

  it.scoped("are superseded while open: the late end of the older version closes nothing", () =>
    Effect.gen(function* () {
      const rows = yield* rowsAfter(
        [[on("a", submitted("a"))], [on("a", submitted("a", 2))], [on("a", rejected("a", 1))]],
        documentRow
      )
      assert.deepInclude(rows[0], { submitted: 2, open: 1 })
    })
  )

  it.scoped(
    "removed while a mutation is open are not committed, and come back when they are submitted again",
    () =>
      Effect.gen(function* () {
        const removal = [[on("a", submitted("a"))], [on("a", removed("a"))]]
        assert.deepStrictEqual(yield* rowsAfter(removal, documentRow), [
          { submitted: 1, open: 0, live: null, removed: "requested", parked: null, stream: 2 }
        ])
        assert.deepInclude((yield* rowsAfter([...removal, [on("a", submitted("a", 2))]], documentRow))[0], {
          open: 1,
          removed: null
        })
      })
  )

  it.scoped("end their version where the next begins, and where they are removed", () =>
    Effect.gen(function* () {
      const rows = yield* rowsAfter(
        [
          [on("a", submitted("a")), on("a", committed("a"))],
          [on("a", submitted("a", 2)), on("a", committed("a", 2))],
          [on("a", removed("a"))]
        ],
        "SELECT version, committed, ended FROM versions"
      )
      assert.deepStrictEqual(rows, [
        { version: 1, committed: 2, ended: 4 },
        { version: 2, committed: 4, ended: 5 }
      ])
    })
  )

  it.scoped("are parked with their job, reopened by its retry, freed by its cancellation", () =>
    Effect.gen(function* () {
      const job = prepareJob("a")
      const parking = [
        [on("a", submitted("a"))],
        [on("a", rejected("a")), ofJob(parked("a", 1, "prepare", job))]
      ]
      assert.deepInclude((yield* rowsAfter(parking, documentRow))[0], { open: 0, parked: job })
      const retry = [...parking, [ofJob(new JobRetried({ jobId: job }))]]
      assert.deepInclude((yield* rowsAfter(retry, documentRow))[0], { open: 1, parked: null })
      const cancel = [...parking, [ofJob(new JobCancelled({ jobId: job }))]]
      assert.deepInclude((yield* rowsAfter(cancel, documentRow))[0], { open: 0, parked: null })
    })
  )

  it.scoped("are refused in another stream than their own, where they would have a second row", () =>
    Effect.gen(function* () {
      const { close, core } = openTestWriter(yield* temporaryDirectory)
      const { stream } = on("b", submitted("b"))
      const { outcomes } = core.writeGroup([
        requestOf([
          {
            ...defaultScope,
            cause: "astray",
            actor: "test",
            correlationId: "test",
            events: [{ stream, event: submitted("a") }]
          }
        ])
      ])
      assert.strictEqual(outcomes[0]?._tag, "Failed")
      assert.strictEqual(core.head.position, 0)
      close()
    })
  )

  it.scoped("are not parked by a build of their live version", () =>
    Effect.gen(function* () {
      const live = [on("a", submitted("a")), on("a", committed("a"))]
      const rows = yield* rowsAfter([live, [ofJob(parked("a", 1, "embed", buildJob("a")))]], documentRow)
      assert.deepInclude(rows[0], { parked: null, live: 1 })
    })
  )
})

describe("jobs", () => {
  it.scoped("follow from the documents' events", () =>
    Effect.gen(function* () {
      const submission = [on("a", submitted("a"))]
      assert.deepStrictEqual(yield* rowsAfter([submission], jobStates), [
        { job: prepareJob("a"), state: "queued" }
      ])
      const chunking = [submission, [on("a", chunked("a"))]]
      assert.deepStrictEqual(yield* rowsAfter(chunking, jobStates), [
        { job: prepareJob("a"), state: "completed" },
        { job: embedJob("a"), state: "queued" }
      ])
      assert.deepStrictEqual(yield* rowsAfter([...chunking, [on("a", committed("a"))]], jobStates), [
        { job: prepareJob("a"), state: "completed" },
        { job: embedJob("a"), state: "completed" }
      ])
    })
  )

  it.scoped("are cancelled when their version is superseded or removed", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* rowsAfter([[on("a", submitted("a"))], [on("a", submitted("a", 2))]], jobStates),
        [
          { job: prepareJob("a"), state: "cancelled" },
          { job: prepareJob("a", 2), state: "queued" }
        ]
      )
      assert.deepStrictEqual(
        yield* rowsAfter([[on("a", submitted("a"))], [on("a", removed("a"))]], jobStates),
        [{ job: prepareJob("a"), state: "cancelled" }]
      )
    })
  )

  it.scoped("of a build have a row once parked, which its contents complete", () =>
    Effect.gen(function* () {
      const parking = [
        [on("a", submitted("a")), on("a", committed("a"))],
        [ofJob(parked("a", 1, "embed", buildJob("a")))]
      ]
      assert.deepInclude(yield* rowsAfter(parking, jobStates), { job: buildJob("a"), state: "parked" })
      assert.deepInclude(yield* rowsAfter([...parking, [on("a", built("a"))]], jobStates), {
        job: buildJob("a"),
        state: "completed"
      })
    })
  )

  it.scoped("are found by their id alone, however many came since, and an unknown one is not", () =>
    Effect.gen(function* () {
      const { close, core } = openTestWriter(yield* temporaryDirectory)
      const names = Array.from({ length: 2_500 }, (_, n) => `document ${n}`)
      append(
        core,
        names.map((name) => on(name, submitted(name)))
      )
      core.withDatabases((log) => {
        const row = log.prepare<[string], number | null>(`SELECT ${rowOfJob("?")}`).pluck()
        const looked = [0, 1_000, 1_023, 1_024, 2_499].map((n) => row.get(prepareJob(names[n] ?? "")))
        assert.deepStrictEqual(looked, [1, 1_001, 1_024, 1_025, 2_500])
        assert.isNull(row.get(prepareJob("none")))
      })
      close()
    })
  )

  it.scoped("are counted by lane and state as they stand in their table", () =>
    Effect.gen(function* () {
      const rows = yield* rowsAfter(
        [[on("a", submitted("a")), on("a", chunked("a")), on("b", submitted("b"))]],
        "SELECT lane, state, jobs FROM job_tally WHERE jobs > 0 ORDER BY lane, state"
      )
      assert.deepStrictEqual(rows, [
        { lane: "embed", state: "queued", jobs: 1 },
        { lane: "prepare", state: "completed", jobs: 1 },
        { lane: "prepare", state: "queued", jobs: 1 }
      ])
    })
  )
})

describe("sources", () => {
  const added = ofSource(new SourceAdded({ sourceId: source, kind: "push", settings: sha256("settings") }))
  const started = (sync: number) => ofSource(new SyncStarted({ sourceId: source, sync }))
  const completed = (sync: number, complete = true) =>
    ofSource(new SyncCompleted({ sourceId: source, sync, complete, counts }))
  const held = (sync: number) =>
    ofSource(new RemovalsHeld({ sourceId: source, sync, count: 3, documents: sha256(`held ${sync}`) }))
  const heldSync = "SELECT held_sync AS held, sync_state AS state FROM sources"

  it.scoped("hold removals until a newer complete sync, or until they are approved", () =>
    Effect.gen(function* () {
      const holding = [[added], [started(1), held(1), completed(1)]]
      assert.deepStrictEqual(yield* rowsAfter(holding, heldSync), [{ held: 1, state: "completed" }])
      const cases: ReadonlyArray<readonly [NewEvent[], number | null]> = [
        [[started(2), held(2), completed(2)], 2],
        [[started(2), completed(2)], null],
        [[started(2), completed(2, false)], 1],
        [[ofSource(new RemovalsApproved({ sourceId: source, sync: 1 }))], null],
        [[ofSource(new SourceRemoved({ sourceId: source }))], null]
      ]
      for (const [events, expected] of cases) {
        assert.deepInclude((yield* rowsAfter([...holding, events], heldSync))[0], { held: expected })
      }
    })
  )

  it.scoped("remember the failure of their newest sync", () =>
    Effect.gen(function* () {
      const rows = yield* rowsAfter(
        [[added, started(1), ofSource(new SyncFailed({ sourceId: source, sync: 1, reason }))]],
        "SELECT sync, sync_state AS state, failure FROM sources"
      )
      assert.deepStrictEqual(rows, [{ sync: 1, state: "failed", failure: JSON.stringify(reason) }])
    })
  )
})

describe("generations", () => {
  it.scoped("have one live: its promotion ends the fold of the former one", () =>
    Effect.gen(function* () {
      const open = (n: number) =>
        ofGenerations(new GenerationOpened({ generation: generation(n), spec, reason: "initial" }))
      const promote = (n: number) => [
        ofGenerations(
          new GenerationVerified({
            generation: generation(n),
            position: Position.make(1),
            fingerprint: sha256("fingerprint"),
            documents: 0,
            chunks: 0
          })
        ),
        ofGenerations(new GenerationPromoted({ generation: generation(n), excluded: [] }))
      ]
      const rows = yield* rowsAfter(
        [[open(1)], promote(1), [open(2)], promote(2)],
        "SELECT generation, state, promoted_position AS promoted, ended_position AS ended FROM generations"
      )
      assert.deepStrictEqual(rows, [
        { generation: "g001", state: "replaced", promoted: 3, ended: 6 },
        { generation: "g002", state: "live", promoted: 6, ended: null }
      ])
    })
  )
})

/** Any event about a few documents, one source and a few generations, in any order: a fold must be total. */
const anyEvent: FastCheck.Arbitrary<NewEvent> = FastCheck.tuple(
  FastCheck.constantFrom("a", "b", "c"),
  FastCheck.integer({ min: 1, max: 3 }),
  FastCheck.integer({ min: 0, max: 24 })
).map(([name, n, choice]): NewEvent => {
  const choices: ReadonlyArray<() => NewEvent> = [
    () => on(name, submitted(name, n)),
    () => on(name, submitted(name, n)),
    () => on(name, chunked(name, n)),
    () => on(name, new DocumentChunked({ ...chunked(name, n), manifestBlob: sha256("another manifest") })),
    () => on(name, committed(name, n)),
    () => on(name, committed(name, n)),
    () => on(name, new DocumentCommitted({ ...committed(name, n), ...pair, count: 7 })),
    () => on(name, built(name, n)),
    () => on(name, rejected(name, n)),
    () => on(name, removed(name, n === 1 ? "missing" : "moved")),
    () => ofJob(parked(name, n, "prepare", prepareJob(name, n))),
    () => ofJob(parked(name, n, "embed", embedJob(name, n))),
    () => ofJob(parked(name, n, "embed", buildJob(name, n))),
    () => ofJob(new JobRetried({ jobId: prepareJob(name, n) })),
    () => ofJob(new JobRetried({ jobId: buildJob(name, n) })),
    () => ofJob(new JobCancelled({ jobId: embedJob(name, n) })),
    () => ofSource(new SourceAdded({ sourceId: source, kind: "push", settings: sha256(`settings ${n}`) })),
    () => ofSource(new SyncStarted({ sourceId: source, sync: n })),
    () => ofSource(new RemovalsHeld({ sourceId: source, sync: n, count: n, documents: sha256("held") })),
    () => ofSource(new SyncCompleted({ sourceId: source, sync: n, complete: name === "a", counts })),
    () => ofSource(new SourceRemoved({ sourceId: source })),
    () => ofGenerations(new GenerationOpened({ generation: generation(n), spec, reason: "build" })),
    () =>
      ofGenerations(new GenerationPromoted({ generation: generation(n), excluded: [documentNamed(name)] })),
    () => ofGenerations(new GenerationRetired({ generation: generation(n), reason: "replaced" })),
    () => ({
      stream: vectorsStream("default", "default", model),
      event: new VectorsRecorded({ model, count: n, tokens: n, elapsedMs: n })
    })
  ]
  return (choices[choice] ?? (() => on(name, submitted(name, n))))()
})

const dump = (db: Database): string =>
  readModelTables.map((table) => `${table}\n${[...tableRows(db, table)].join("\n")}`).join("\n")

const rowsOf = (sql: string) => (db: Database) => db.prepare(sql).all()
const countedJobs = rowsOf(
  "SELECT team, project, lane, state, count(*) AS jobs FROM jobs GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
)
const talliedJobs = rowsOf("SELECT * FROM job_tally WHERE jobs <> 0 ORDER BY team, project, lane, state")
const countedDocuments = rowsOf(`
  SELECT team, project, count(live_version) AS documents, coalesce(sum(live_chunks), 0) AS chunks, sum(open) AS open
  FROM documents GROUP BY 1, 2 ORDER BY 1, 2`)
const standTwice = rowsOf(`
  SELECT job_id FROM jobs GROUP BY 1 HAVING count(*) > 1
  UNION ALL SELECT document_id FROM documents GROUP BY 1 HAVING count(*) > 1`)
const talliedDocuments = rowsOf("SELECT * FROM document_tally ORDER BY team, project")

describe("the inline read models", () => {
  it.scoped.prop(
    "I20: equal those rebuilt from the events alone, their tallies what they count, and no document or job stands twice",
    {
      appends: FastCheck.array(
        FastCheck.record({
          events: FastCheck.array(anyEvent, { minLength: 1, maxLength: 4 }),
          project: FastCheck.constantFrom("default", "other"),
          stale: FastCheck.boolean()
        }),
        { maxLength: 40 }
      )
    },
    ({ appends }) =>
      Effect.gen(function* () {
        const { close, core } = openTestWriter(yield* temporaryDirectory)
        const requests = appends.map(({ events, project, stale }, n) =>
          requestOf([
            {
              ...(events[0]?.stream === generationsStream ? operatorScope : { ...defaultScope, project }),
              cause: `cause-${n}`,
              actor: "test",
              correlationId: "test",
              events,
              ...(stale && n % 5 === 0 ? { expectedHead: Position.make(1_000_000) } : {})
            }
          ])
        )
        for (let at = 0; at < requests.length; at += 7) core.writeGroup(requests.slice(at, at + 7))
        core.withDatabases((log) => {
          const inline = dump(log)
          assert.deepStrictEqual(countedJobs(log), talliedJobs(log))
          assert.deepStrictEqual(countedDocuments(log), talliedDocuments(log))
          assert.deepStrictEqual(standTwice(log), [])
          rebuildReadModels(log, [...foldedEvents(log, 0, core.head.position)])
          assert.strictEqual(dump(log), inline)
        })
        close()
      }),
    { fastCheck: { numRuns: 30, seed: 20261121 } }
  )
})
