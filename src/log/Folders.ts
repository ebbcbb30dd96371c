/**
 * Making folders. Node's own recursive `mkdir` begins again above whenever the system says that something is missing, and
 * does not end where the system says so and makes no folders (below `/proc`).
 */
import { mkdirSync, statSync } from "node:fs"
import { dirname, resolve } from "node:path"

/** Makes a folder and those above it that are missing: one `mkdir` for each. Throws what the system says. */
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
  }
}

const isFolder = (path: string): boolean =>
  path === dirname(path) || statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
