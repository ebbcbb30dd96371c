/** `log`: the source of truth as a whole, checked, taken away and brought back. */
import { existsSync } from "node:fs"
import { resolve } from "node:path"
import { Effect, Schema } from "effect"
import { nativeModule } from "../../runtime/NativeModule.ts"
import { type Common, command, group, noArguments, oneArgument } from "../Definition.ts"
import { NothingThere } from "../Exit.ts"
import { Io } from "../Io.ts"
import { note, type Page, print } from "../Output.ts"
import { printable } from "../Printable.ts"
import { withProgress } from "../Progress.ts"
import { configuration } from "../Session.ts"
import { counted, number, table } from "../Style.ts"

const archive = Effect.zipRight(
  nativeModule,
  Effect.promise(() => import("../../log/Archive.ts"))
)

const counts = {
  position: Schema.Int,
  hash: Schema.String,
  events: Schema.Int,
  blobs: Schema.Int,
  vectors: Schema.Int
}

const Checked = Schema.Struct({
  ...counts,
  damaged: Schema.Int,
  damages: Schema.Array(Schema.Struct({ kind: Schema.String, where: Schema.String, detail: Schema.String }))
})
const Copied = Schema.Struct({
  ...counts,
  target: Schema.String,
  alreadyThere: Schema.optional(Schema.Boolean)
})
type Copied = typeof Copied.Type

const existing = (common: Common) =>
  Effect.gen(function* () {
    const { directory } = yield* configuration(common)
    if (!existsSync(directory.files.log)) return yield* new NothingThere({ directory: directory.path })
    return directory.path
  })

const verify = command({
  name: "verify",
  summary: "Recompute the chain, every body, every vector and the read models, and name what is damaged",
  flags: {},
  arguments: noArguments,
  run: (_, __, common) =>
    Effect.gen(function* () {
      const directory = yield* existing(common)
      const { verify } = yield* archive
      const report = yield* withProgress((progress) =>
        verify(directory, ({ done, step }) =>
          progress.show({ what: `Checking ${step}`, done, total: undefined })
        )
      )
      yield* print(common.json, Checked, report, ({ style, width }) =>
        [
          `${counted(report.events, "event")}, ${number(report.blobs)} bodies, ${number(report.vectors)} vectors, up to position ${number(report.position)} ${style.dim(report.hash)}\n`,
          report.damaged === 0
            ? style.green("Nothing is damaged.\n")
            : style.red(`${number(report.damaged)} damaged:\n`),
          report.damaged === 0
            ? ""
            : table(
                style,
                ["kind", "where", "detail"].map((title) => ({ title })),
                report.damages.map(({ detail, kind, where }) => [kind, where, detail]),
                width
              ),
          report.damaged === 0 ? "" : "Restore what is damaged from a backup: reprise log restore <backup>\n"
        ].join("")
      )
      return report.damaged === 0 ? 0 : 1
    })
})

const copiedPage =
  (verb: string) =>
  ({ style }: Page, { alreadyThere, blobs, events, hash, position, target, vectors }: Copied): string =>
    `${alreadyThere === true ? "Is there already" : verb}: ${style.cyan(printable(target))}\n${counted(events, "event")}, ${number(blobs)} bodies, ${number(vectors)} vectors, up to position ${number(position)} ${style.dim(hash)}\n`

const here = (path: string) => Effect.map(Io, ({ cwd }) => resolve(cwd, path))

const exportLog = command({
  name: "export",
  summary: "Write events and content as newline-delimited JSON; beside a running writer",
  flags: {},
  arguments: oneArgument("file"),
  run: (_, file, common) =>
    Effect.gen(function* () {
      const directory = yield* existing(common)
      const target = yield* here(file)
      const { exportTo } = yield* archive
      const report = yield* exportTo(directory, target)
      yield* print(common.json, Copied, { ...report, target }, (page) =>
        copiedPage("Exported to")(page, { ...report, target })
      )
      return 0 as const
    })
})

const afterwards = note("The index is not part of it. Build it with: reprise replay")

const importLog = command({
  name: "import",
  summary: "Read an export into an empty data directory; the same one again changes nothing",
  flags: {},
  arguments: oneArgument("file"),
  run: (_, file, common) =>
    Effect.gen(function* () {
      const { directory } = yield* configuration(common)
      const source = yield* here(file)
      const { importFrom } = yield* archive
      const report = yield* importFrom(source, directory.path)
      const result = { ...report, target: directory.path }
      yield* print(common.json, Copied, result, (page) => copiedPage("Imported into")(page, result))
      if (!common.json && !report.alreadyThere) yield* afterwards
      return 0 as const
    })
})

const backup = command({
  name: "backup",
  summary: "Copy log and content to a new directory, verified; beside a running writer",
  flags: {},
  arguments: oneArgument("directory"),
  run: (_, name, common) =>
    Effect.gen(function* () {
      const directory = yield* existing(common)
      const target = yield* here(name)
      const { backup } = yield* archive
      const result = { ...(yield* backup(directory, target)), target }
      yield* print(common.json, Copied, result, (page) => copiedPage("Backed up to")(page, result))
      return 0 as const
    })
})

const restore = command({
  name: "restore",
  summary: "Put a backup into a data directory where no log stands",
  flags: {},
  arguments: oneArgument("backup"),
  run: (_, name, common) =>
    Effect.gen(function* () {
      const { directory } = yield* configuration(common)
      const source = yield* here(name)
      const { restore } = yield* archive
      const result = { ...(yield* restore(source, directory.path)), target: directory.path }
      yield* print(common.json, Copied, result, (page) => copiedPage("Restored to")(page, result))
      if (!common.json) yield* afterwards
      return 0 as const
    })
})

export const log = group("log", "Check, export, import, back up and restore the log", [
  verify,
  exportLog,
  importLog,
  backup,
  restore
])
