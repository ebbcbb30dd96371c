/** `init`, `add`, `sync`, `remove`: what fills and empties a data directory. */
import { existsSync } from "node:fs"
import { join, resolve } from "node:path"
import { Effect, Option, Schema, Stream } from "effect"
import type { Lane } from "../../../events/Job.ts"
import { Quote } from "../../../events/Quote.ts"
import { emptyReceipt, Receipt } from "../../../events/Receipt.ts"
import type { SyncCounts } from "../../../events/Source.ts"
import { localName } from "../../runtime/DataDirectory.ts"
import { nativeModule } from "../../runtime/NativeModule.ts"
import type { RepriseReader } from "../../runtime/Reprise.ts"
import {
  type Common,
  command,
  flag,
  integerFlag,
  manyArguments,
  noArguments,
  textFlags
} from "../Definition.ts"
import { type CliError, exitCodeOfReceipt, PathsMissing } from "../Exit.ts"
import { Io } from "../Io.ts"
import { namesMeant } from "../Names.ts"
import { note, type Page, print } from "../Output.ts"
import { printable } from "../Printable.ts"
import { withProgress } from "../Progress.ts"
import {
  type AnyWriter,
  configuration,
  orIndexAway,
  orOutage,
  withQuotes,
  withReader,
  withWriter
} from "../Session.ts"
import { counted, number, type Style, time } from "../Style.ts"
import { interruptible, orEarlier } from "../UntilStopped.ts"

const Initialised = Schema.Struct({
  dataDirectory: Schema.String,
  /** False where it was there before. */
  created: Schema.Boolean,
  config: Schema.String
})

export const init = command({
  name: "init",
  summary: `Make a data directory: --data-dir, REPRISE_DATA_DIR, or ${localName}/ here`,
  flags: {},
  arguments: noArguments,
  run: (_, __, common) =>
    Effect.gen(function* () {
      const { cwd } = yield* Io
      const found = yield* configuration(common)
      const named = found.directory.origin !== "found" && found.directory.origin !== "standard"
      const here = named ? common : { ...common, dataDir: join(cwd, localName) }
      const { directory } = yield* configuration(here)
      yield* nativeModule
      const { initialise } = yield* Effect.promise(() => import("../../runtime/Initialise.ts"))
      const created = yield* initialise(directory)
      const result = { dataDirectory: directory.path, created, config: directory.files.config }
      yield* print(common.json, Initialised, result, ({ style }) =>
        created
          ? `Made the data directory ${style.cyan(printable(directory.path))}. Next: reprise add <directory>\n`
          : `The data directory ${style.cyan(printable(directory.path))} is there already. Nothing was changed.\n`
      )
      return 0 as const
    })
})

const jobs = integerFlag("jobs", "Documents prepared at a time (setting: files.jobs)", 1, 64)
const full = flag("full", "Read and hash every file, whatever its size and times say")
const dryRun = flag("dry-run", "Say what would be done, and do nothing")

export const add = command({
  name: "add",
  summary: "Add directories, files or globs, and index what is in them",
  details: "A directory that was added before is synced.",
  flags: {
    include: textFlags("include", "<glob>", "Only files that match, relative to each directory"),
    exclude: textFlags("exclude", "<glob>", "No files that match"),
    full,
    jobs,
    dryRun
  },
  arguments: manyArguments("path", 1),
  stops: true,
  run: ({ dryRun, exclude, full, include, jobs }, paths, common) =>
    Effect.gen(function* () {
      const { cwd, stop } = yield* Io
      const absolute = paths.map((path) => resolve(cwd, path))
      const { directory } = yield* configuration(common)
      // Nothing to add to: not even a data directory is made for it.
      if (!existsSync(directory.files.log) && absolute.every(isNowhere)) {
        return yield* new PathsMissing({ paths })
      }
      const options = { scope: common.scope, include, exclude, full }
      const settings = { "files.jobs": jobs }
      if (dryRun)
        return yield* quoted(
          common,
          withQuotes(common, settings, ({ add }) => add(absolute, options))
        )
      const receipt = yield* orEarlier(
        (begun) =>
          withWriter(
            common,
            { command: "reprise add", flags: settings, looks: true, makes: true },
            (writer) => Effect.zipRight(begun, watched(writer, writer.add(absolute, { ...options, stop })))
          ),
        notBegun
      )
      return yield* ended(common, receipt)
    })
})

/** A glob names no file of its own. */
const isNowhere = (path: string): boolean => !existsSync(path) && !/[*?[{]/.test(path)

export const sync = command({
  name: "sync",
  summary: "Bring sources up to date (all of them, or those named by root or id)",
  flags: {
    full,
    approveRemovals: flag("approve-removals", "Carry out removals that are held, and hold none"),
    jobs,
    dryRun
  },
  arguments: manyArguments("source", 0),
  stops: true,
  run: ({ approveRemovals, dryRun, full, jobs }, names, common) =>
    Effect.gen(function* () {
      const { cwd, stop } = yield* Io
      const sources = names.map((name) => (isId(name) ? name : resolve(cwd, name)))
      const options = { scope: common.scope, full, approveRemovals }
      const settings = { "files.jobs": jobs }
      if (dryRun)
        return yield* quoted(
          common,
          withQuotes(common, settings, ({ sync }) => sync(sources, options))
        )
      const receipt = yield* orEarlier(
        (begun) =>
          withWriter(common, { command: "reprise sync", flags: settings, looks: true }, (writer, reader) =>
            Effect.gen(function* () {
              const known = yield* reader.sources(common.scope)
              if (names.length === 0 && known.every(({ removed }) => removed))
                yield* note("There are no sources. Add one with: reprise add <directory>")
              yield* pausedLanes(reader)
              yield* begun
              return yield* watched(writer, writer.sync(sources, { ...options, stop }))
            })
          ),
        notBegun
      )
      return yield* ended(common, receipt)
    })
})

const isId = (name: string): boolean => /^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(name)

export const remove = command({
  name: "remove",
  summary: "Remove documents (by id, URI or path) or whole sources (by id or root)",
  details: "A removed path stays out of later syncs until it is added again.",
  flags: { dryRun },
  arguments: manyArguments("name", 1),
  run: ({ dryRun }, names, common) =>
    Effect.gen(function* () {
      const { cwd } = yield* Io
      const { scope } = common
      const meant = namesMeant(scope, cwd, names)
      if (!dryRun) {
        const receipt = yield* withWriter(common, { command: "reprise remove" }, (writer, reader) =>
          Effect.flatMap(meant(reader), (known) => orIndexAway(writer, writer.remove(known, { scope })))
        )
        return yield* ended(common, receipt)
      }
      const known = yield* withReader(common, { embeds: false }, meant)
      const receipt = yield* withQuotes(common, {}, ({ remove }) => remove(known, { scope }))
      yield* print(common.json, Receipt, receipt, ({ style }) =>
        [
          `Would be: ${counts(style, receipt)}`,
          ...failureLines(style, receipt.failures),
          style.dim("Nothing was changed."),
          ""
        ].join("\n")
      )
      return exitCodeOfReceipt(receipt)
    })
})

/** Told to stop while the data directory was still being opened, which may wait for a provider. */
const notBegun: Receipt = { ...emptyReceipt, interrupted: true }

/** Who waits for a lane that somebody paused should know it. */
const pausedLanes = (reader: RepriseReader) =>
  Effect.flatMap(reader.status(), ({ lanes }) =>
    Effect.forEach(
      lanes.filter(({ paused }) => paused),
      ({ lane }) =>
        note(`The lane ${lane} is paused: what needs it waits. Go on with: reprise lanes resume ${lane}`),
      { discard: true }
    )
  )

const withoutWorker = (lane: Lane): string =>
  `No worker takes what waits on the lane ${lane}: it goes on when one does. Start one with: reprise worker`

/** A document is written once it is committed: that is what has a rate. How many there will be, only the scan knows. */
const watched = <A, E extends CliError>(writer: AnyWriter, work: Effect.Effect<A, E>) =>
  withProgress((progress) =>
    Effect.raceFirst(
      orOutage(writer, work),
      Effect.zipRight(
        writer.progress.pipe(
          Stream.zipWithPrevious,
          Stream.runForEach(([before, { committed, open, parked, unclaimed, vectorsComputed }]) => {
            const isNews = unclaimed !== Option.getOrUndefined(before)?.unclaimed
            return Effect.zipRight(
              isNews && unclaimed !== undefined ? progress.say(withoutWorker(unclaimed)) : Effect.void,
              progress.show({
                what: "Indexing: documents",
                done: committed,
                total: open === 0 ? undefined : committed + open,
                details: `${number(vectorsComputed)} vectors${parked === 0 ? "" : `, ${number(parked)} parked`}`
              })
            )
          })
        ),
        Effect.never
      )
    )
  )

const ended = (common: Common, receipt: Receipt) =>
  Effect.gen(function* () {
    yield* print(common.json, Receipt, receipt, (page) => receiptPage(page, receipt))
    return exitCodeOfReceipt(receipt)
  })

/** There is nothing to finish of what only looks. */
const quoted = <R>(common: Common, quoting: Effect.Effect<Quote, CliError, R>) =>
  interruptible(
    Effect.gen(function* () {
      const quote = yield* quoting
      yield* print(common.json, Quote, quote, (page) => quotePage(page, quote))
      return exitCodeOfReceipt(quote)
    })
  )

const shownPlanned = 100

const quotePage = ({ style }: Page, quote: Quote): string => {
  const { chunks, documents, failures, tokens, vectors } = quote
  const rest = documents.length - shownPlanned
  return [
    ...documents
      .slice(0, shownPlanned)
      .map(
        ({ act, from, uri }) =>
          `${style.bold(act.padEnd(6))}  ${style.cyan(printable(uri))}${from === undefined ? "" : style.dim(`  from ${printable(from)}`)}`
      ),
    ...(rest > 0 ? [style.dim(`and ${number(rest)} more (--json lists up to 1,000)`)] : []),
    ...(documents.length > 0 ? [""] : []),
    `Would be: ${counts(style, quote)}`,
    `${counted(chunks, "chunk")}, ${number(vectors.compute)} vectors to compute (about ${number(tokens)} tokens), ${number(vectors.reuse)} there already`,
    ...failureLines(style, failures),
    style.dim("Nothing was changed."),
    ""
  ].join("\n")
}

const counts = (style: Style, of: SyncCounts): string => {
  const done = (["added", "updated", "moved", "unchanged", "removed", "skipped"] as const)
    .filter((name) => of[name] > 0)
    .map((name) => `${number(of[name])} ${name}`)
  const bad = (["held", "parked", "failed"] as const)
    .filter((name) => of[name] > 0)
    .map((name) => style.red(`${number(of[name])} ${name}`))
  return [...done, ...bad].join(", ") || "nothing to do"
}

const failureLines = (style: Style, failures: Receipt["failures"]): ReadonlyArray<string> => {
  const rest = failures.length - shownFailures
  return [
    ...failures
      .slice(0, shownFailures)
      .map(({ reason, uri }) => `${style.cyan(printable(uri))}  ${printable(reason)}`),
    ...(rest > 0 ? [style.dim(`and ${number(rest)} more (--json lists them)`)] : [])
  ]
}

const shownFailures = 20

const receiptPage = ({ style }: Page, receipt: Receipt): string => {
  const { computed, reused } = receipt.embeddings
  const again = style.yellow(" (interrupted: run it again to go on)")
  return [
    `${counts(style, receipt)}${receipt.interrupted === true ? again : ""}`,
    style.dim(
      `position ${number(receipt.position)} · ${number(computed)} vectors computed, ${number(reused)} reused · ${time(receipt.elapsedMs)}`
    ),
    ...failureLines(style, receipt.failures),
    ...(receipt.held > 0
      ? [`${style.yellow("held:")} look at what is gone, then run: reprise sync --approve-removals`]
      : []),
    ...(receipt.parked > 0 ? [`${style.yellow("parked:")} see reprise jobs list --state parked`] : []),
    ...(receipt.skippedSources ?? []).map(
      (source) => `${style.yellow("skipped:")} source ${source} is being synced already`
    ),
    ""
  ].join("\n")
}
