/**
 * What is asked of jobs and their lanes: keyed, bounded statements.
 */

import { Effect } from "effect"
import type { ProjectScope } from "../../../events/Ids.ts"
import { Lane, type Pausable } from "../../../events/Job.ts"
import { reading } from "../ReadConnections.ts"
import type { JobRow, LaneCounts, ReadModelsService, RunningAttempt } from "../ReadModels.ts"
import type { ReadSql } from "../ReadSql.ts"
import {
  type AttemptColumns,
  type JobColumns,
  jobColumns,
  lastOutcome,
  toJobAttempt,
  toJobRow
} from "./Jobs.ts"
import { pageOf } from "./Paging.ts"
import { rowOfJob } from "./Rows.ts"

export const jobReads = (
  sql: ReadSql
): Pick<ReadModelsService, "job" | "attempts" | "runningAttempts" | "jobs" | "lanes" | "indexPaused"> => {
  const select = sql.literal(jobColumns)
  const last = sql.literal(lastOutcome)
  return {
    job: (id) =>
      reading(
        sql<JobColumns>`SELECT ${select} FROM jobs j WHERE queued_position = ${rowOf(sql, id)}`.pipe(
          Effect.map(([row]): JobRow | undefined => (row === undefined ? undefined : toJobRow(row)))
        )
      ),

    attempts: (id) =>
      reading(
        sql<AttemptColumns>`
          SELECT attempt, worker, started_at AS startedAt, ended_at AS endedAt, outcome, error, solo
          FROM job_attempts WHERE job_id = ${id} ORDER BY attempt`.pipe(
          Effect.map((rows) => rows.map(toJobAttempt))
        )
      ),

    runningAttempts: Effect.map(
      Effect.forEach(Lane.literals, (lane) =>
        reading(sql<Omit<RunningAttempt, "solo"> & { readonly solo: number }>`
          SELECT a.job_id AS jobId, a.attempt, a.solo, (
              SELECT count(*) FROM job_attempts b
              WHERE b.job_id = a.job_id AND b.solo = 1 AND b.outcome = 'interrupted'
            ) AS deaths
          FROM job_attempts a WHERE a.lane = ${lane} AND a.outcome = 'running'`)
      ),
      (lanes) => lanes.flat().map((row) => ({ ...row, solo: row.solo === 1 }))
    ),

    jobs: ({ after, lane, limit, scope, state }) => {
      const stored = state === "processing" || state === "failed" ? "queued" : state
      const outcome =
        state === "processing"
          ? [sql`${last} = 'running'`]
          : state === "failed"
            ? [sql`${last} = 'failed'`]
            : state === "queued"
              ? [sql`coalesce(${last}, '') NOT IN ('running', 'failed')`]
              : []
      const ofAll = stored === undefined || stored === "completed"
      // The plus keeps SQLite from walking all that a project ever queued for the few that are unfinished.
      const inScope = ({ project, team }: ProjectScope) =>
        ofAll
          ? [sql`team = ${team}`, sql`project = ${project}`]
          : [sql`+team = ${team}`, sql`+project = ${project}`]
      const inLane = (one: Lane | undefined) =>
        reading(
          sql<JobColumns>`
            SELECT ${select} FROM jobs j WHERE ${sql.and([
              ...(after === undefined ? [] : [sql`queued_position > ${positionOf(sql, after)}`]),
              ...(scope === undefined ? [] : inScope(scope)),
              ...(one === undefined ? [] : [sql`lane = ${one}`]),
              ...(stored === undefined ? [sql`1`] : [sql.literal(stateIs(stored))]),
              ...outcome
            ])} ORDER BY queued_position LIMIT ${limit + 1}`
        )
      // What is unfinished is found lane by lane in the order of the queue.
      const lanes = lane !== undefined || ofAll ? [lane] : Lane.literals
      return Effect.map(Effect.forEach(lanes, inLane), (found) =>
        pageOf(
          found.flat().sort((one, other) => one.queued_position - other.queued_position),
          limit,
          toJobRow,
          (row) => row.job_id
        )
      )
    },

    lanes: Effect.forEach(Lane.literals, (lane) => laneCounts(sql, lane)),
    indexPaused: isPaused(sql, "index")
  }
}

/** SQLite takes an index of the unfinished for a state only where it reads that the state is none of the finished. */
const stateIs = (state: "queued" | "completed" | "cancelled" | "parked"): string =>
  state === "completed" ? "state = 'completed'" : `state <> 'completed' AND state = '${state}'`

/** Where a page ended; jobs are never deleted from their table. */
const positionOf = (sql: ReadSql, job: string) => sql`coalesce(${rowOf(sql, job)}, 0)`

const rowOf = (sql: ReadSql, job: string) =>
  sql`(SELECT ${sql.literal(rowOfJob("wanted"))} FROM (SELECT ${job} AS wanted))`

const isPaused = (sql: ReadSql, lane: Pausable) =>
  Effect.map(
    reading(sql<{ readonly paused: number }>`SELECT paused FROM lanes WHERE lane = ${lane}`),
    ([row]) => row?.paused === 1
  )

const laneCounts = Effect.fnUntraced(function* (sql: ReadSql, lane: Lane) {
  const tally = yield* reading(sql<{ readonly state: string; readonly jobs: number }>`
    SELECT state, sum(jobs) AS jobs FROM job_tally WHERE lane = ${lane} GROUP BY state`)
  const attempts = yield* reading(sql<{ readonly outcome: string; readonly jobs: number }>`
    SELECT a.outcome, count(*) AS jobs
    FROM job_attempts a JOIN jobs j ON j.queued_position = ${sql.literal(rowOfJob("a.job_id"))}
    WHERE a.lane = ${lane} AND a.outcome IN ('running', 'failed') AND j.state = 'queued'
      AND NOT EXISTS (SELECT 1 FROM job_attempts b WHERE b.job_id = a.job_id AND b.attempt > a.attempt)
    GROUP BY a.outcome`)
  const [oldest] = yield* reading(sql<{ readonly queued_at: number }>`
    SELECT queued_at FROM jobs WHERE lane = ${lane} AND ${sql.literal(stateIs("queued"))} ORDER BY queued_position LIMIT 1`)
  const paused = yield* isPaused(sql, lane)
  const inState = (state: string) => tally.find((row) => row.state === state)?.jobs ?? 0
  const lastWas = (outcome: string) => attempts.find((row) => row.outcome === outcome)?.jobs ?? 0
  const counts: LaneCounts = {
    lane,
    paused,
    queued: inState("queued") - lastWas("running") - lastWas("failed"),
    processing: lastWas("running"),
    completed: inState("completed"),
    failed: lastWas("failed"),
    cancelled: inState("cancelled"),
    parked: inState("parked"),
    oldestQueuedAt: oldest?.queued_at
  }
  return counts
})
