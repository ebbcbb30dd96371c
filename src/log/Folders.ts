/**
 * Making folders, and making names durable: an fsync of a file says nothing of its name, which stands in its folder.
 *
 * Node's own recursive `mkdir` begins again above whenever the system says that something is missing, and
 * does not end where the system says so and makes no folders (below `/proc`).
 */
import { closeSync, fsyncSync, mkdirSync, openSync, statSync } from "node:fs"
import { dirname, resolve } from "node:path"

/**
 * Makes a folder and those above it that are missing, each synced into the one above: one `mkdir` for each. Throws what the
 * system says.
 */
export const makeFolder = (path: string, options: { readonly mode?: number } = {}): void => {
  const missing: Array<string> = []
  for (let at = resolve(path); !isFolder(at); at = dirname(at)) missing.push(at)
  for (const folder of missing.reverse()) {
    try {
      mkdirSync(folder, options)
    } catch (cause) {
      // Somebody else made it in the meantime.
      if (!isFolder(folder)) throw cause
    }
    syncReadable(dirname(folder))
  }
}

const isFolder = (path: string): boolean =>
  path === dirname(path) || statSync(path, { throwIfNoEntry: false })?.isDirectory() === true

/** Until it returns, a power cut may undo what was made, renamed or deleted in a folder; or what was written to a file. */
export const sync = (path: string): void => {
  const descriptor = openSync(path, "r")
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** A folder in which one may make others and not list them cannot be opened, and so not be synced. */
const syncReadable = (folder: string): void => {
  try {
    sync(folder)
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && cause.code === "EACCES")) throw cause
  }
}
