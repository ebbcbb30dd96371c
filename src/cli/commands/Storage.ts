/** `gc`, `erase`: what a data directory no longer needs, and what must not stay in it. */
import { Effect } from "effect"
import { Certificate, Collected } from "../../runtime/StorageReports.ts"
import { command, flag, manyArguments, noArguments } from "../Definition.ts"
import { UsageError } from "../Exit.ts"
import { Io } from "../Io.ts"
import { namesMeant } from "../Names.ts"
import { type Page, print } from "../Output.ts"
import { printable } from "../Printable.ts"
import { orIndexAway, withWriter } from "../Session.ts"
import { bytes, counted, number, time } from "../Style.ts"

export const gc = command({
  name: "gc",
  summary: "Free what nobody needs any more: ended points, and content that no version of a document needs",
  details:
    "storage.keepFor, storage.keepVersions and storage.grace decide what is kept. Killed, it goes on when it is run again.",
  flags: { dryRun: flag("dry-run", "Say what would be freed, and do nothing") },
  arguments: noArguments,
  run: ({ dryRun }, _, common) =>
    withWriter(common, { command: "reprise gc" }, (writer) =>
      Effect.gen(function* () {
        const collected = yield* writer.collect({ dryRun })
        yield* print(common.json, Collected, collected, (page) => collectedPage(page, collected))
        return 0 as const
      })
    )
})

const collectedPage = ({ style }: Page, collected: Collected): string => {
  const { bodies, documents, dryRun, elapsedMs, generations, points, vectors } = collected
  const inside = generations
    .filter((one) => one.points > 0)
    .map((one) => `${one.generation}: ${number(one.points)}`)
  return [
    `${dryRun ? "Would free" : "Freed"} ${number(bodies)} ${bodies === 1 ? "body" : "bodies"} and ${counted(vectors, "vector")} (${bytes(collected.bytes)}), ${counted(points, "ended point")}${inside.length === 0 ? "" : ` (${inside.join(", ")})`}`,
    `${counted(documents, "document")} looked at in ${time(elapsedMs)}`,
    dryRun
      ? style.dim("Nothing was changed.")
      : style.dim("The files keep their size: what is stored next takes the room."),
    ""
  ].join("\n")
}

export const erase = command({
  name: "erase",
  summary: "Erase documents (by id, URI or path), whole sources (by id or root) or a project, for good",
  details:
    "Content, vectors and points go from every store; the log keeps that it happened. Killed, it goes on when it is run again with the ids.",
  flags: {
    everything: flag("everything", "All documents and sources of the project"),
    dryRun: flag("dry-run", "Say what would be erased, and do nothing")
  },
  arguments: manyArguments("name", 0),
  run: ({ dryRun, everything }, names, common) =>
    Effect.gen(function* () {
      if (everything === names.length > 0)
        return yield* new UsageError({
          detail: everything
            ? "--everything erases the whole project: name nothing beside it."
            : "Name what is to be erased, or give --everything for the whole project."
        })
      const { cwd } = yield* Io
      const { scope } = common
      return yield* withWriter(common, { command: "reprise erase" }, (writer, reader) =>
        Effect.gen(function* () {
          const known = everything ? "everything" : yield* namesMeant(scope, cwd, names)(reader)
          const certificate = yield* orIndexAway(writer, writer.erase({ scope, names: known, dryRun }))
          yield* print(common.json, Certificate, certificate, (page) => certificatePage(page, certificate))
          return 0 as const
        })
      )
    })
})

const mostNamed = 20

const certificatePage = ({ style }: Page, certificate: Certificate): string => {
  const { documents, dryRun, elapsedMs, position, remains, scope, sources, stores } = certificate
  const more = documents.length - mostNamed
  return [
    `${dryRun ? "Would erase" : "Erased"} ${counted(documents.length, "document")} and ${counted(sources.length, "source")} of ${scope.team}/${scope.project}${dryRun ? "" : `, at position ${number(position)} of the log`}`,
    ...documents.slice(0, mostNamed).map((id) => `  ${id}`),
    ...(more > 0 ? [`  … and ${number(more)} more (--json names all)`] : []),
    ...sources.map((id) => `  source ${id}`),
    style.bold("Searched"),
    ...stores.map(({ removed, store, what }) => `  ${printable(store)}: ${number(removed)} ${what}`),
    style.bold("Not reached"),
    ...remains.map((one) => `  ${one}`),
    dryRun ? style.dim("Nothing was changed.") : style.dim(`${time(elapsedMs)}`),
    ""
  ].join("\n")
}
