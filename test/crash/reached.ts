/**
 * Which failpoints each way through the program reaches: a crash test kills at every one of them. `Reached.test.ts` runs
 * the ways and compares, and wants each name of `failpointNames` in a list or named with the test that has it: a new
 * durable step without a test fails there.
 */
import type { FailpointName } from "../../src/faults/Failpoints.ts"

/** Whatever appends to the log. */
const appending: ReadonlyArray<FailpointName> = [
  "log.begin",
  "log.insert",
  "log.readmodel",
  "log.commit.before",
  "log.commit.after",
  "log.append.after",
  "head.write.before",
  "head.write.after"
]

/** Whatever opens a directory for writing that was used before. */
const opening: ReadonlyArray<FailpointName> = [
  "lock.acquire.before",
  "lock.acquire.after",
  "epoch.write.before",
  "epoch.write.after"
]

/** Whatever brings a generation into step. */
const applying: ReadonlyArray<FailpointName> = [
  "index.apply.before",
  "index.apply.after",
  "index.row",
  "index.marker.before",
  "index.marker.after",
  "state.commit.before",
  "state.commit.after"
]

/** Whatever hands out work. */
const working: ReadonlyArray<FailpointName> = [
  "attempt.count.before",
  "attempt.count.after",
  "job.lease.before",
  "job.lease.after",
  "job.result.before",
  "job.result.after",
  "chunked.before",
  "chunked.after",
  "provider.answered",
  "vector.write.before",
  "vector.write.after",
  "vectors.recorded.before",
  "vectors.recorded.after"
]

/** Whatever submits documents from files. */
const submitting: ReadonlyArray<FailpointName> = [
  "blob.write.before",
  "blob.write.after",
  "sync.scan",
  "sync.diff.before",
  "sync.diff.after",
  "submit.before",
  "submit.after"
]

/** An `add` of a new directory into a new data directory. */
export const reachedByAdd: ReadonlyArray<FailpointName> = [
  ...opening,
  "migrate.step.before",
  "migrate.step.after",
  ...appending,
  ...applying,
  ...working,
  ...submitting,
  "committed.before",
  "committed.after",
  "removed.before",
  "removed.after"
]

/** A `sync` after changes, additions, moves and removals, approved. */
export const reachedBySync: ReadonlyArray<FailpointName> = [
  // Held removals end the comparison before it removes; approving them does.
  ...reachedByAdd.filter((name) => !name.startsWith("migrate.") && name !== "sync.diff.after"),
  "removals.approve.before",
  "removals.approve.after"
]

const sweeping: ReadonlyArray<FailpointName> = [
  "sweep.state.before",
  "sweep.state.after",
  "sweep.engine.before",
  "sweep.engine.after"
]

const promoting: ReadonlyArray<FailpointName> = [
  ...sweeping,
  "generation.open.before",
  "generation.open.after",
  "generation.verify.before",
  "generation.verify.after",
  "generation.promote.before",
  "generation.promote.after",
  "generation.drop.before",
  "generation.drop.after"
]

/** A `replay`: nothing is prepared, embedded or stored. */
export const reachedByReplay: ReadonlyArray<FailpointName> = [
  ...opening,
  ...appending,
  ...applying,
  ...promoting
]

/** A `build` under another model, beside one that was not finished: nothing is scanned, submitted or chunked. */
export const reachedByBuild: ReadonlyArray<FailpointName> = [
  ...reachedByReplay,
  ...working.filter((name) => !name.startsWith("chunked.")),
  "built.before",
  "built.after",
  "generation.retire.before",
  "generation.retire.after"
]

/** A repair of points that were changed by hand: nothing is appended. */
export const reachedByRepair: ReadonlyArray<FailpointName> = [
  ...opening,
  "index.row",
  "index.marker.before",
  "index.marker.after",
  "repair.point.before",
  "repair.point.after"
]

/** A `gc` that finds ended points, bodies and vectors: nothing is appended. */
export const reachedByCollect: ReadonlyArray<FailpointName> = [
  ...opening,
  "index.row",
  "index.marker.before",
  "index.marker.after",
  ...sweeping,
  "collect.mark",
  "collect.sweep.before",
  "collect.sweep.after"
]

/** An `erase` of documents: their removal is appended, their points and contents go. */
export const reachedByErase: ReadonlyArray<FailpointName> = [
  ...opening,
  ...appending,
  ...applying,
  "removed.before",
  "removed.after",
  "erase.points.before",
  "erase.points.after",
  "erase.state.after",
  "collect.mark",
  "collect.sweep.before",
  "collect.sweep.after",
  "erase.content.before",
  "erase.content.after",
  "erase.rewrite.after"
]

/** A backup, an export and an import of a log. */
export const reachedByArchive = [
  "backup.copy",
  "backup.verify",
  "backup.rename.before",
  "backup.rename.after",
  "export.part",
  "import.batch"
] as const satisfies ReadonlyArray<FailpointName>

/**
 * What a way reaches like every other: with `add`, which is killed everywhere, this is shown. The ways after it are killed
 * there too where `REPRISE_CRASH=all` asks for it.
 */
export const shownByAdd: ReadonlySet<FailpointName> = new Set([...opening, ...appending, ...working])

const upkeep: ReadonlyArray<FailpointName> = ["segment.merge.before", "segment.merge.after"]

/**
 * What any way may reach besides: upkeep, on a machine so slow that the index seems to be at rest, and the events with which
 * an earlier process ended, for which nobody waited because they change nothing that is found.
 */
export const reachedSometimes: ReadonlySet<FailpointName> = new Set([
  ...upkeep,
  ...applying.filter((name) => name !== "index.row")
])

/** An `add` of what the provider refuses, and the cancelling of the jobs that this parks. */
export const reachedByPark: ReadonlyArray<FailpointName> = [
  ...opening,
  ...appending,
  ...working.filter((name) => !name.startsWith("vector")),
  ...submitting,
  "rejected.before",
  "rejected.after",
  "job.park.before",
  "job.park.after",
  "job.cancel.before",
  "job.cancel.after"
]

/** A rest after many small additions, in which the index is put in order: nothing is appended. */
export const reachedByRest: ReadonlyArray<FailpointName> = [...opening, ...upkeep]
