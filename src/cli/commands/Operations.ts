/** `status`, `config`, `doctor`: how it is, and how it should be. */
import type { FileSystem, Path } from "@effect/platform"
import { Effect, Schema } from "effect"
import type { Configuration } from "../../runtime/Config.ts"
import { Diagnosis } from "../../runtime/doctor/Check.ts"
import { withLive } from "../../runtime/Live.ts"
import { NativeModuleMissing } from "../../runtime/NativeModule.ts"
import { Status } from "../../runtime/Reprise.ts"
import { command, noArguments } from "../Definition.ts"
import type { Io } from "../Io.ts"
import { note, type Page, print } from "../Output.ts"
import { printable } from "../Printable.ts"
import { configuration, serverOf, withReader } from "../Session.ts"
import { bytes, counted, number, table, time } from "../Style.ts"

export const status = command({
  name: "status",
  summary: "Show what there is, how far the index is, and what waits for a person",
  flags: {},
  arguments: noArguments,
  run: (_, __, common) =>
    withReader(common, { embeds: false }, (reader, loaded) =>
      Effect.gen(function* () {
        const stored = yield* reader.status(common.namedScope)
        const live = yield* liveOf(loaded)
        const found = live === undefined ? stored : withLive(stored, live)
        yield* print(common.json, Status, found, (page) => statusPage(page, found))
        return 0 as const
      })
    )
})

/** What a running server says of itself. One that cannot say it is named, and the files speak for themselves. */
const liveOf = (loaded: Configuration) =>
  Effect.gen(function* () {
    const server = yield* serverOf(loaded)
    return server === undefined ? undefined : yield* server.live
  }).pipe(
    Effect.catchAll(({ message }) => Effect.as(note(message), undefined)),
    Effect.scoped
  )

const statusPage = ({ style, width }: Page, status: Status): string => {
  const { actors, bus, chunks, documents, generations, lanes, log, problems, providers, sources, workers } =
    status
  const part = (title: string, text: string) => `\n${style.bold(title)}\n${text}`
  const titles = (...names: ReadonlyArray<string>) =>
    names.map((title) =>
      /^(checkpoint|lag|documents|chunks|queued|processing|completed|failed|parked|cancelled|syncs|restarts|waiting|processed|granted|refused)$/.test(
        title
      )
        ? { title, align: "right" as const }
        : { title }
    )
  return [
    `${style.cyan(printable(status.dataDirectory))}  ${status.healthy ? style.green("healthy") : style.yellow("needs attention")}\n`,
    `${counted(documents, "document")}, ${counted(chunks, "chunk")} · log at position ${number(log.headPosition)}, ${bytes(log.bytes)}\n`,
    sources.length === 0
      ? ""
      : part(
          "Sources",
          table(
            style,
            titles("id", "syncs", "last sync", "root"),
            sources.map(({ failure, root, source, state, sync }) => [
              source,
              sync,
              failure === undefined ? state : `${state}: ${failure}`,
              root
            ]),
            width
          )
        ),
    generations.length === 0
      ? ""
      : part(
          "Generations",
          table(
            style,
            titles("id", "state", "engine", "checkpoint", "lag", "documents", "chunks", "model"),
            generations.map((one) => [
              one.id,
              one.state,
              one.engine,
              number(one.checkpoint),
              number(one.lag),
              number(one.documents),
              number(one.chunks),
              one.model
            ]),
            width
          )
        ),
    part(
      "Lanes",
      table(
        style,
        titles(
          "lane",
          "queued",
          "processing",
          "completed",
          "failed",
          "cancelled",
          "parked",
          "oldest",
          "state"
        ),
        lanes.map((one) => [
          one.lane,
          number(one.queued),
          number(one.processing),
          number(one.completed),
          number(one.failed),
          number(one.cancelled),
          number(one.parked),
          one.oldestAgeMs === null ? "–" : time(one.oldestAgeMs),
          one.paused ? "paused" : "open"
        ]),
        width
      )
    ),
    status.runtime === "reading"
      ? ""
      : part(
          `Server, ${bus.kind} bus ${bus.connected ? "connected" : "NOT CONNECTED"}`,
          table(
            style,
            titles("actor", "state", "restarts", "waiting", "processed", "failed"),
            actors.map((one) => [
              one.name,
              one.state,
              number(one.restarts),
              number(one.mailbox),
              number(one.processed),
              number(one.failed)
            ]),
            width
          )
        ),
    providers.length === 0
      ? ""
      : part(
          "Embedding providers",
          table(
            style,
            titles("provider", "circuit", "asked again", "last error"),
            providers.map(({ circuit, lastError, pauseMs, provider }) => [
              provider,
              circuit,
              pauseMs === 0 ? "now" : `in ${time(pauseMs)}`,
              lastError?.message ?? ""
            ]),
            width
          )
        ),
    workers.length === 0
      ? ""
      : part(
          "Workers",
          table(
            style,
            titles("worker", "lane", "version", "granted", "refused", "seen", "note"),
            workers.map((one) => [
              one.worker,
              one.lane,
              one.version ?? "",
              number(one.granted),
              number(one.refused),
              `${time(one.seenMsAgo)} ago`,
              one.unfit === undefined ? "" : `gets no work: ${one.unfit}`
            ]),
            width
          )
        ),
    problems.length === 0
      ? ""
      : part(
          "Needs attention",
          problems.map((problem) => `${style.yellow("•")} ${printable(problem)}\n`).join("")
        )
  ].join("")
}

const ConfigJson = Schema.Struct({
  dataDirectory: Schema.Struct({ path: Schema.String, origin: Schema.String }),
  settings: Schema.Array(
    Schema.Struct({
      key: Schema.String,
      value: Schema.NullOr(Schema.Unknown),
      origin: Schema.String,
      where: Schema.String
    })
  ),
  warnings: Schema.Array(Schema.String)
})

export const config = command({
  name: "config",
  summary: "Show the settings in force and where each comes from (secrets are left out)",
  flags: {},
  arguments: noArguments,
  run: (_, __, common) =>
    Effect.gen(function* () {
      const { directory, entries, warnings } = yield* configuration(common)
      const result = {
        dataDirectory: { path: directory.path, origin: directory.origin },
        settings: entries.map(({ key, origin, value, where }) => ({
          key,
          value: value ?? null,
          origin,
          where
        })),
        warnings
      }
      yield* print(common.json, ConfigJson, result, ({ style, width }) =>
        [
          `${style.cyan(printable(directory.path))} ${style.dim(`(${directory.origin})`)}\n\n`,
          table(
            style,
            [
              { title: "setting", paint: style.bold },
              { title: "value" },
              { title: "from", paint: style.dim }
            ],
            entries.map(({ key, origin, value, where }) => [
              key,
              value === undefined ? "–" : typeof value === "string" ? value : JSON.stringify(value),
              origin === "default" ? "default" : where
            ]),
            width
          )
        ].join("")
      )
      if (!common.json) yield* Effect.forEach(warnings, note, { discard: true })
      return 0 as const
    })
})

export const doctor = command({
  name: "doctor",
  summary: "Check everything that the data directory needs, and say what to do",
  flags: {},
  arguments: noArguments,
  run: (_, __, common) =>
    Effect.gen(function* () {
      // Where not even the package is there, its own message is the diagnosis.
      const { diagnose, thisMachine } = yield* Effect.tryPromise({
        try: () => import("../../runtime/Doctor.ts"),
        catch: (cause) => new NativeModuleMissing({ detail: String(cause) })
      })
      const context = yield* Effect.context<Io | FileSystem.FileSystem | Path.Path>()
      const found = yield* diagnose(Effect.provide(configuration(common), context), thisMachine)
      yield* print(common.json, Diagnosis, found, (page) => diagnosisPage(page, found))
      return found.healthy ? 0 : 1
    })
})

const diagnosisPage = ({ style }: Page, { checks, healthy }: Diagnosis): string => {
  const marks = { ok: style.green("ok"), failed: style.red("failed"), skipped: style.dim("skipped") }
  return [
    ...checks.map(({ check, detail, remedy, state }) => {
      const gap = " ".repeat(9 - state.length)
      const line = `${marks[state]}${gap}${style.bold(check.padEnd(14))}${detail
        .split("\n")
        .map(printable)
        .join(`\n${" ".repeat(23)}`)}\n`
      return remedy === undefined
        ? line
        : `${line}${" ".repeat(23)}${style.yellow("→")} ${printable(remedy)}\n`
    }),
    healthy ? style.green("All is well.\n") : style.red("Something needs attention.\n")
  ].join("")
}
