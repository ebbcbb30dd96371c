/** `jobs`, `lanes`: work, and what happens to it. */
import { Effect, Schema } from "effect"
import { Reason } from "../../../events/Document.ts"
import { DocumentId, JobId, ProjectScope, scopeKey } from "../../../events/Ids.ts"
import { JobState, Lane, Pausable } from "../../../events/Job.ts"
import type { JobRow } from "../../log/ReadModels.ts"
import type { RepriseReader } from "../../runtime/Reprise.ts"
import {
  choiceFlag,
  command,
  group,
  integerFlag,
  noArguments,
  oneArgument,
  oneOf,
  textFlag
} from "../Definition.ts"
import { JobUnknown } from "../Exit.ts"
import { note, type Page, print } from "../Output.ts"
import { printable } from "../Printable.ts"
import { type AnyWriter, orOutage, withReader, withWriter } from "../Session.ts"
import { table, time } from "../Style.ts"

const Attempt = Schema.Struct({
  attempt: Schema.Int,
  worker: Schema.String,
  startedAt: Schema.Number,
  endedAt: Schema.NullOr(Schema.Number),
  outcome: Schema.String,
  error: Schema.NullOr(Schema.String)
})

const Job = Schema.Struct({
  jobId: JobId,
  lane: Lane,
  ...ProjectScope.fields,
  documentId: DocumentId,
  version: Schema.Int,
  state: JobState,
  reason: Schema.NullOr(Reason),
  queuedPosition: Schema.Int,
  queuedAt: Schema.Number,
  attempts: Schema.Array(Attempt)
})
type Job = typeof Job.Type

const JobsPage = Schema.Struct({ jobs: Schema.Array(Job), nextCursor: Schema.optional(Schema.String) })

const jobOf = ({ attempts, reason, scope, ...row }: JobRow): Job => ({
  ...row,
  ...scope,
  reason: reason ?? null,
  attempts: attempts.map(({ attempt, endedAt, error, outcome, startedAt, worker }) => ({
    attempt,
    worker,
    startedAt,
    endedAt: endedAt ?? null,
    outcome,
    error: error ?? null
  }))
})

const list = command({
  name: "list",
  summary: "List jobs",
  flags: {
    state: choiceFlag("state", JobState.literals, "Only in this state"),
    lane: choiceFlag("lane", Lane.literals, "Only of this lane"),
    limit: integerFlag("limit", "Most jobs of a page (default: 100)", 1, 10_000),
    cursor: textFlag("cursor", "<cursor>", "Go on after a page: its nextCursor")
  },
  arguments: noArguments,
  run: ({ cursor, lane, limit, state }, _, common) =>
    withReader(common, { embeds: false }, (reader) =>
      Effect.gen(function* () {
        const found = yield* reader.jobs({
          ...(common.namedScope && { scope: common.namedScope }),
          ...(lane && { lane }),
          ...(state && { state }),
          ...(cursor && { after: cursor }),
          limit: limit ?? 100
        })
        const result = {
          jobs: found.rows.map(jobOf),
          ...(found.next !== undefined && { nextCursor: found.next })
        }
        yield* print(common.json, JobsPage, result, ({ style, width }) =>
          result.jobs.length === 0
            ? "No jobs.\n"
            : table(
                style,
                [
                  { title: "job" },
                  { title: "lane" },
                  { title: "state" },
                  { title: "attempts", align: "right" },
                  { title: "project" },
                  { title: "document", paint: style.dim },
                  { title: "reason" }
                ],
                result.jobs.map((job) => [
                  job.jobId,
                  job.lane,
                  job.state,
                  job.attempts.length,
                  scopeKey(job),
                  job.documentId,
                  job.reason?.message ?? ""
                ]),
                width
              )
        )
        if (!common.json && found.next !== undefined)
          yield* note(`There are more. Go on with: reprise jobs list --cursor ${found.next}`)
        return 0 as const
      })
    )
})

const isJobId = Schema.is(JobId)

const found = (reader: RepriseReader, id: string) =>
  Effect.gen(function* () {
    const row = isJobId(id) ? yield* reader.job(id) : undefined
    return row ?? (yield* new JobUnknown({ job: id }))
  })

const show = command({
  name: "show",
  summary: "Show a job with all its attempts",
  flags: {},
  arguments: oneArgument("id"),
  run: (_, id, common) =>
    withReader(common, { embeds: false }, (reader) =>
      Effect.gen(function* () {
        const job = jobOf(yield* found(reader, id))
        yield* print(common.json, Job, job, (page) => jobPage(page, job))
        return 0 as const
      })
    )
})

const at = (ms: number): string => new Date(ms).toISOString()

const jobPage = ({ style, width }: Page, job: Job): string => {
  const rows: ReadonlyArray<readonly [string, string]> = [
    ["job", job.jobId],
    ["lane", job.lane],
    ["state", job.state],
    ["project", scopeKey(job)],
    ["document", `${job.documentId} version ${job.version}`],
    ["queued", `${at(job.queuedAt)} (position ${job.queuedPosition})`],
    ...(job.reason === null ? [] : [["reason", `${job.reason.code}: ${job.reason.message}`] as const])
  ]
  const attempts = job.attempts.map((one) => [
    one.attempt,
    one.outcome,
    at(one.startedAt),
    one.endedAt === null ? "" : time(one.endedAt - one.startedAt),
    one.worker,
    one.error ?? ""
  ])
  return [
    ...rows.map(([name, value]) => `${style.dim(name.padEnd(10))}${printable(value)}\n`),
    job.attempts.length === 0
      ? ""
      : `\n${table(
          style,
          ["attempt", "outcome", "started", "took", "worker", "error"].map((title) => ({ title })),
          attempts,
          width
        )}`
  ].join("")
}

const Changed = Schema.Struct({ jobId: JobId, state: Schema.NullOr(JobState) })

/** A job belongs to a project of its own; whoever names its id need not name that. */
const change = (
  name: "retry" | "cancel",
  summary: string,
  act: (writer: AnyWriter, job: JobRow) => ReturnType<AnyWriter["retry"]>
) =>
  command({
    name,
    summary,
    flags: {},
    arguments: oneArgument("id"),
    run: (_, id, common) =>
      withWriter(common, { command: `reprise jobs ${name}` }, (writer, reader) =>
        Effect.gen(function* () {
          const job = yield* found(reader, id)
          yield* act(writer, job)
          if (name === "retry") yield* orOutage(writer, writer.ended(job.jobId))
          const after = yield* reader.job(job.jobId)
          const result = { jobId: job.jobId, state: after?.state ?? null }
          yield* print(common.json, Changed, result, () => `${job.jobId} is ${result.state ?? "gone"}.\n`)
          return result.state === "parked" ? (1 as const) : (0 as const)
        })
      )
  })

const retry = change("retry", "Try a parked job again, and wait for its end", (writer, job) =>
  writer.retry(job.scope, job.jobId)
)

const cancel = change("cancel", "Give a job up; the document's last good version stays", (writer, job) =>
  writer.cancel(job.scope, job.jobId)
)

export const jobs = group("jobs", "Look at jobs, retry or cancel them", [list, show, retry, cancel])

const Paused = Schema.Struct({ lane: Pausable, paused: Schema.Boolean })

const lane = (name: "pause" | "resume", summary: string) =>
  command({
    name,
    summary,
    flags: {},
    arguments: oneOf("lane", Pausable.literals),
    run: (_, lane, common) =>
      // Held back before anything is added, too.
      withWriter(common, { command: `reprise lanes ${name}`, makes: true }, (writer) =>
        Effect.gen(function* () {
          const paused = name === "pause"
          yield* writer.pause(lane, paused)
          yield* print(common.json, Paused, { lane, paused }, () =>
            paused
              ? `The lane ${lane} is paused${lane === "index" ? ": searches see what they see now" : ""}. Go on with: reprise lanes resume ${lane}\n`
              : `The lane ${lane} goes on.\n`
          )
          return 0 as const
        })
      )
  })

export const lanes = group("lanes", "Hold a kind of work back, or go on with it", [
  lane("pause", "Hand out no more jobs of a lane, or apply nothing more to the index"),
  lane("resume", "Go on with a lane, or with the index")
])
