/** Temporary trees on the real file system, and a file tree that fails on demand. */
import { execFile } from "node:child_process"
import { mkdir, mkdtemp, realpath, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { promisify } from "node:util"
import { Effect, Either, Layer, type Scope, Stream } from "effect"
import type { FilesSettings } from "../../events/Source.ts"
import { FileTree, FileTreeError, type FileTreeService } from "../../src/sources/FileTree.ts"
import { layer as nodeFileTree } from "../../src/sources/NodeFileTree.ts"
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
  readonly examine?: (path: string) => string | undefined
  readonly open?: (path: string) => string | undefined
  readonly read?: (path: string) => string | undefined
  /** Runs before the file's bytes are read. */
  readonly beforeRead?: (path: string) => Effect.Effect<void>
  readonly afterRead?: (path: string) => Effect.Effect<void>
  readonly beforeOpen?: (path: string) => Effect.Effect<void>
}

export const faultyTree = (faults: Faults): Layer.Layer<FileTree> =>
  Layer.effect(
    FileTree,
    Effect.map(FileTree, (tree) => withFaults(tree, faults))
  ).pipe(Layer.provide(nodeFileTree))

const withFaults = (tree: FileTreeService, faults: Faults): FileTreeService => {
  const fails = (operation: FileTreeError["operation"], path: RawPath, code: string | undefined) =>
    code === undefined ? Effect.void : Effect.fail(new FileTreeError({ operation, path: toText(path), code }))
  return {
    resolve: tree.resolve,
    examine: (paths) =>
      Effect.map(tree.examine(paths), (stats) =>
        stats.map((stat, at) => {
          const path = paths[at]
          const code = path === undefined ? undefined : faults.examine?.(toText(path))
          return path === undefined || code === undefined
            ? stat
            : Either.left(new FileTreeError({ operation: "examine", path: toText(path), code }))
        })
      ),
    list: (directory) => {
      const code = faults.list?.(toText(directory))
      if (code === undefined) return tree.list(directory)
      return Stream.concat(
        Stream.take(tree.list(directory), 1),
        Stream.fromEffect(fails("list", directory, code))
      ).pipe(Stream.filter((entry) => entry !== undefined))
    },
    open: (path) =>
      Effect.gen(function* () {
        yield* faults.beforeOpen?.(toText(path)) ?? Effect.void
        yield* fails("open", path, faults.open?.(toText(path)))
        const file = yield* tree.open(path)
        return {
          ...file,
          read: (into: Uint8Array) =>
            Effect.gen(function* () {
              yield* faults.beforeRead?.(toText(path)) ?? Effect.void
              yield* fails("read", path, faults.read?.(toText(path)))
              const count = yield* file.read(into)
              yield* faults.afterRead?.(toText(path)) ?? Effect.void
              return count
            })
        }
      })
  }
}
