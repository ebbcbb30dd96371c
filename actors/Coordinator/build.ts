/**
 * Builds under way: takes up what is unbuilt for open generations of another pair, a bounded number at a time.
 */
import { Effect } from "effect"
import type { DocumentId } from "../../events/Ids.ts"
import { buildJobId } from "../../events/Job.ts"
import type { LogFailed } from "../../src/log/Log.ts"
import type { DocumentRow } from "../../src/log/ReadModels.ts"
import type { Build } from "./Builds.ts"
import type { Desk } from "./Desk.ts"
import { openRecovered, parkIfKiller } from "./recover.ts"
import type { Turn } from "./Turn.ts"
import type { Work } from "./Work.ts"

const page = 64

export const refillBuilds = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn
): Effect.fn.Return<void, LogFailed> {
  for (const build of desk.builds.all()) {
    for (const id of build.pending) {
      if (desk.builds.room(build) <= 0) break
      build.pending.delete(id)
      const row = yield* desk.row(id)
      if (row !== undefined) yield* begin(desk, turn, build, row)
    }
    while (!build.swept && desk.builds.room(build) > 0) {
      const rows = yield* desk.ports.readModels.unbuilt(build.pair, build.after, page)
      for (const row of rows) yield* begin(desk, turn, build, row)
      build.swept = rows.length < page
      build.after = rows.at(-1)?.documentId
    }
  }
})

const begin = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn,
  build: Build,
  row: DocumentRow
): Effect.fn.Return<void, LogFailed> {
  const { documentId, live } = row
  const { pair } = build
  if (live === undefined || build.parked.has(documentId)) return
  const active = build.active.get(documentId)
  if (active?.version === live.version) return
  const { readModels } = desk.ports
  if ((yield* readModels.contents(documentId, live.version, pair.chunker, pair.model)) !== undefined) return
  if (yield* isParked(desk, build, documentId, live.version)) {
    build.parked.add(documentId)
    return
  }
  const submission = yield* readModels.submission(documentId, live.version)
  if (submission === undefined) return
  const work: Work = {
    purpose: "build",
    scope: row.scope,
    documentId,
    sourceId: row.sourceId,
    version: live.version,
    raw: submission.raw,
    rawBytes: submission.rawBytes,
    descriptor: submission.descriptor,
    commandId: submission.commandId,
    orderKey: submission.orderKey,
    sync: undefined,
    movedFrom: undefined,
    moveKey: submission.orderKey,
    pair,
    chunking: yield* readModels.chunking(documentId, live.version, pair.chunker),
    inputs: undefined,
    missing: new Set(),
    asking: new Set(),
    vectors: new Map(),
    computed: 0,
    ready: false,
    jobs: {},
    fresh: false
  }
  build.active.set(documentId, work)
  yield* parkIfKiller(desk, turn, openRecovered(desk, work))
})

const isParked = Effect.fnUntraced(function* (
  desk: Desk,
  { pair }: Build,
  document: DocumentId,
  version: number
): Effect.fn.Return<boolean, LogFailed> {
  for (const lane of ["prepare", "embed"] as const) {
    const job = yield* desk.ports.readModels.job(buildJobId(desk.epoch, lane, document, version, pair))
    if (job?.state === "parked" || job?.state === "cancelled") return true
  }
  return false
})
