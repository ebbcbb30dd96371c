/** What may stand beside the databases of a data directory for a while, and must not be taken for theirs. */
import { existsSync, rmSync } from "node:fs"
import { join } from "node:path"
import { sync } from "./Folders.ts"
import { fileNames } from "./LogDatabase.ts"

/** Where a copy is put together before it takes the databases' place: what stands there was cut off. */
export const unfinishedFolders = { restore: "restore.part", import: "import.part" } as const

/**
 * Deletes what a process that was killed left beside databases that are gone, or are to be replaced: SQLite would read a
 * former write-ahead log into whatever takes its database's name.
 */
export const deleteSideFiles = (directory: string): void => {
  const left = [fileNames.content, fileNames.log]
    .flatMap((name) => [`${name}-wal`, `${name}-shm`])
    .map((name) => join(directory, name))
    .filter((path) => existsSync(path))
  for (const path of left) rmSync(path)
  // Before the other one has the name: a power cut must not bring them back beside it.
  if (left.length > 0) sync(directory)
}
