/** `init`, `add`, `sync`, `remove`: what fills and empties a data directory. */
import { existsSync } from "node:fs"
import { join, resolve } from "node:path"
import { Effect, Schema } from "effect"
import { Receipt } from "../../../events/Receipt.ts"
import { localName } from "../../runtime/DataDirectory.ts"
import {
  type Common,
  command,
  flag,
  integerFlag,
  manyArguments,
  noArguments,
  textFlags
} from "../Definition.ts"
import { exitCodeOfReceipt, PathsMissing } from "../Exit.ts"
import { Io } from "../Io.ts"
import { note, type Page, print } from "../Output.ts"
import { printable } from "../Printable.ts"
import { withProgress } from "../Progress.ts"
import { configuration, withWriter } from "../Session.ts"
import { number, time } from "../Style.ts"

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
  run: ({ exclude, full, include, jobs }, paths, common) =>
    Effect.gen(function* () {
      const { cwd, stop } = yield* Io
      const absolute = paths.map((path) => resolve(cwd, path))
      const { directory } = yield* configuration(common)
      // Nothing to add to: not even a data directory is made for it.
      if (!existsSync(directory.files.log) && absolute.every(isNowhere)) {
        return yield* new PathsMissing({ paths })
      }
      const receipt = yield* withWriter(
        common,
        { command: "reprise add", flags: { "files.jobs": jobs } },
        (writer) =>
          withProgress(() => writer.add(absolute, { scope: common.scope, include, exclude, full, stop }))
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
  run: ({ approveRemovals, full, jobs }, names, common) =>
    Effect.gen(function* () {
      const { cwd, stop } = yield* Io
      const receipt = yield* withWriter(
        common,
        { command: "reprise sync", flags: { "files.jobs": jobs } },
        (writer, reader) =>
          Effect.gen(function* () {
            const known = yield* reader.sources(common.scope)
            if (names.length === 0 && known.every(({ removed }) => removed))
              yield* note("There are no sources. Add one with: reprise add <directory>")
            const sources = names.map((name) => (isId(name) ? name : resolve(cwd, name)))
            return yield* withProgress(() =>
              writer.sync(sources, { scope: common.scope, full, stop, approveRemovals })
            )
          })
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
      const resolved = names.map((name) => (existsSync(resolve(cwd, name)) ? resolve(cwd, name) : name))
      const receipt = yield* withWriter(common, { command: "reprise remove" }, (writer) =>
        writer.remove(resolved, { scope: common.scope, dryRun })
      )
      return yield* ended(common, receipt)
    })
})

const ended = (common: Common, receipt: Receipt) =>
  Effect.gen(function* () {
    yield* print(common.json, Receipt, receipt, (page) => receiptPage(page, receipt))
    return exitCodeOfReceipt(receipt)
  })

const shownFailures = 20

const receiptPage = ({ style }: Page, receipt: Receipt): string => {
  const counts = (["added", "updated", "moved", "unchanged", "removed", "skipped"] as const)
    .filter((name) => receipt[name] > 0)
    .map((name) => `${number(receipt[name])} ${name}`)
  const bad = (["held", "parked", "failed"] as const)
    .filter((name) => receipt[name] > 0)
    .map((name) => style.red(`${number(receipt[name])} ${name}`))
  const done = [...counts, ...bad]
  const { computed, reused } = receipt.embeddings
  const { failures } = receipt
  const rest = failures.length - shownFailures
  return [
    `${done.length === 0 ? "Nothing to do" : done.join(", ")}${
      receipt.interrupted === true ? style.yellow(" (interrupted: run it again to go on)") : ""
    }`,
    style.dim(
      `position ${number(receipt.position)} · ${number(computed)} vectors computed, ${number(reused)} reused · ${time(receipt.elapsedMs)}`
    ),
    ...failures
      .slice(0, shownFailures)
      .map(({ reason, uri }) => `${style.cyan(printable(uri))}  ${printable(reason)}`),
    ...(rest > 0 ? [style.dim(`and ${number(rest)} more (--json lists them)`)] : []),
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
