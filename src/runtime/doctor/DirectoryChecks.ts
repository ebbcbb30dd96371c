/** What the data directory must be: of a known format, with a log that opens and has lost nothing, and one writer. */
import { existsSync } from "node:fs"
import { Effect } from "effect"
import { checkFormat } from "../../log/DirectoryFormat.ts"
import { lockedBy } from "../../log/WriterLock.ts"
import type { DataDirectory } from "../DataDirectory.ts"
import type { RepriseReader } from "../Reprise.ts"
import { type Finding, failed, guarded, ok } from "./Check.ts"

const attempt = <A>(work: () => A): Effect.Effect<A, Error> =>
  Effect.try({ try: work, catch: (cause) => (cause instanceof Error ? cause : new Error(String(cause))) })

export const directoryCheck = ({ files, origin, path }: DataDirectory): Effect.Effect<Finding> =>
  guarded(
    "directory",
    "Name the right directory with --data-dir, or use the version of Reprise that wrote it.",
    Effect.gen(function* () {
      const format = yield* attempt(() => checkFormat(path))
      if (format === "absent" || !existsSync(files.log)) {
        return ok("directory", `${path} (${origin}) is empty. Begin with: reprise add <directory>`)
      }
      return ok("directory", `${path} (${origin})`)
    })
  )

export const logCheck = (reader: RepriseReader): Effect.Effect<Finding> =>
  guarded(
    "log",
    "Look for what is damaged with: reprise log verify. Restore a backup with: reprise log restore",
    Effect.gen(function* () {
      const behind = yield* reader.behindWitness
      if (behind !== undefined) {
        return failed(
          "log",
          behind.message,
          "Restore the newer log, or accept the loss with: reprise recover --accept-rollback"
        )
      }
      const { log } = yield* reader.status()
      return ok("log", `opens; its head, position ${log.headPosition}, is what its witnesses have seen`)
    })
  )

export const lockCheck = (directory: string): Effect.Effect<Finding> =>
  guarded(
    "lock",
    "Check that this user may read and write the data directory.",
    Effect.map(
      attempt(() => lockedBy(directory)),
      (holder) => ok("lock", holder === undefined ? "free: nobody is writing" : `held by ${holder}`)
    )
  )
