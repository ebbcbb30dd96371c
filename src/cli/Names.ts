/**
 * What documents and sources are called on a command line: an id, a URI, or a path, which is the caller's own and most often
 * still there. What is not there any more may have been named so, too, and by where it stood below its root.
 */
import { existsSync } from "node:fs"
import { resolve } from "node:path"
import { Effect } from "effect"
import type { ProjectScope } from "../../events/Ids.ts"
import type { LogFailed } from "../log/Log.ts"
import type { RepriseReader } from "../runtime/Reprise.ts"

/** As the writer, which has another working directory, knows them. */
export const namesMeant =
  (scope: ProjectScope, cwd: string, names: ReadonlyArray<string>) =>
  (reader: Pick<RepriseReader, "knows">): Effect.Effect<ReadonlyArray<string>, LogFailed> =>
    Effect.forEach(names, (name) => {
      const path = resolve(cwd, name)
      return existsSync(path)
        ? Effect.succeed(path)
        : Effect.map(reader.knows(scope, path), (isKnown) => (isKnown ? path : name))
    })
