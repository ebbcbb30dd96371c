/** `gc`: what a data directory no longer needs. */
import { existsSync } from "node:fs"
import { Effect } from "effect"
import { Collected } from "../../runtime/Storage.ts"
import { command, flag, noArguments } from "../Definition.ts"
import { NothingThere } from "../Exit.ts"
import { type Page, print } from "../Output.ts"
import { configuration, withWriter } from "../Session.ts"
import { bytes, counted, number, time } from "../Style.ts"

export const gc = command({
  name: "gc",
  summary: "Free what nobody needs any more: ended points, and content that no version of a document needs",
  details:
    "storage.keepFor, storage.keepVersions and storage.grace decide what is kept. Killed, it goes on when it is run again.",
  flags: { dryRun: flag("dry-run", "Say what would be freed, and do nothing") },
  arguments: noArguments,
  run: ({ dryRun }, _, common) =>
    Effect.gen(function* () {
      const { files, path } = (yield* configuration(common)).directory
      if (!existsSync(files.log)) return yield* new NothingThere({ directory: path })
      return yield* withWriter(common, { command: "reprise gc" }, (writer) =>
        Effect.gen(function* () {
          const collected = yield* writer.collect({ dryRun })
          yield* print(common.json, Collected, collected, (page) => collectedPage(page, collected))
          return 0 as const
        })
      )
    })
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
