/** Temporary trees on the real file system, and a file tree that fails on demand. */
import { execFile } from "node:child_process"
import { mkdir, mkdtemp, realpath, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { promisify } from "node:util"
import { Effect, type Layer, type Scope } from "effect"
import type { FilesSettings } from "../../events/Source.ts"
import { type FileCalls, type Listing, nodeCalls } from "../../src/sources/FileCalls.ts"
import type { FileTree } from "../../src/sources/FileTree.ts"
import { layerInThread } from "../../src/sources/NodeFileTree.ts"
import { ofBytes, type RawPath, toText } from "../../src/sources/RawPath.ts"

/** Content by path below the root; a path may be given in bytes (`latin1:` before it). */
export type Tree = { readonly [path: string]: string }

export const pathBytes = (path: string): Buffer =>
  path.startsWith("latin1:") ? Buffer.from(path.slice("latin1:".length), "latin1") : Buffer.from(path, "utf8")

export const rawPath = (path: string): RawPath => ofBytes(pathBytes(path))

export const temporaryRoot: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(async () => realpath(await mkdtemp(join(tmpdir(), "reprise-sources-")))),
  (root) => Effect.promise(() => promisify(execFile)("rm", ["-rf", root]))
)

export const write = (root: string, tree: Tree): Effect.Effect<void> =>
  Effect.promise(async () => {
    for (const [path, content] of Object.entries(tree)) {
      const absolute = Buffer.concat([Buffer.from(`${root}/`), pathBytes(path)])
      if (path.includes("/")) await mkdir(dirname(join(root, path)), { recursive: true })
      await writeFile(absolute, content)
    }
  })

export const settingsOf = (root: string, settings: Partial<FilesSettings> = {}): FilesSettings => ({
  kind: "files",
  root,
  include: [],
  exclude: [],
  ...settings
})

/** What the file tree answers instead, by a path's text; absent means: the truth. */
export interface Faults {
  /** Lists some entries, then breaks off. */
  readonly list?: (directory: string) => string | undefined
  readonly open?: (path: string) => string | undefined
  readonly examine?: (path: string) => string | undefined
  /** Runs before the file's bytes are read. */
  readonly beforeRead?: (path: string) => void
  readonly afterRead?: (path: string) => void
  readonly beforeOpen?: (path: string) => void
}

export const faultyTree = (faults: Faults): Layer.Layer<FileTree> => layerInThread(callsWith(faults))

/** Lists one entry, then breaks off. */
const breaking = (listing: Listing, code: string): Listing => {
  let told = false
  return {
    ...listing,
    next: () => {
      if (told) throw Object.assign(new Error(code), { code })
      told = true
      return listing.next().slice(0, 1)
    }
  }
}

const callsWith = (faults: Faults): FileCalls => ({
  ...nodeCalls,
  list: (directory) => {
    const code = faults.list?.(toText(directory))
    const listing = nodeCalls.list(directory)
    return code === undefined ? listing : breaking(listing, code)
  },
  examine: (path) => {
    const code = faults.examine?.(toText(path))
    if (code !== undefined) throw Object.assign(new Error(code), { code })
    return nodeCalls.examine(path)
  },
  open: (path) => {
    faults.beforeOpen?.(toText(path))
    const code = faults.open?.(toText(path))
    if (code !== undefined) throw Object.assign(new Error(code), { code })
    return nodeCalls.open(path)
  },
  read: (file, into, path) => {
    faults.beforeRead?.(toText(path))
    const count = nodeCalls.read(file, into, path)
    faults.afterRead?.(toText(path))
    return count
  }
})
