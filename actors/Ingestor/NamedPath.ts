/**
 * What somebody means by a path: a directory is a root; a file is its directory as root, of which only this file is
 * taken; a pattern is the directory before its first wildcard, of which only what matches is taken.
 *
 * So a file's document is the same one whether the file was added alone or with its directory: the root is the
 * directory either way, and a source's id does not depend on its globs.
 */
import { resolve } from "node:path"
import { Effect, Either } from "effect"
import { meaning } from "../../src/sources/FileCodes.ts"
import type { FileTreeService } from "../../src/sources/FileTree.ts"
import { isText, ofText, type RawPath, split, toText } from "../../src/sources/RawPath.ts"
import { isGlob, literally } from "../../src/sources/Selection.ts"

export type NamedPath =
  | { readonly _tag: "Directory"; readonly root: RawPath }
  | { readonly _tag: "File"; readonly root: RawPath; readonly name: RawPath; readonly pattern: string }
  | { readonly _tag: "Pattern"; readonly root: RawPath; readonly pattern: string }
  /** Nothing is there. It may still be the root of a known source. */
  | { readonly _tag: "Absent"; readonly absolute: string; readonly reason: string }
  /** It is there, and no source can be made of it. */
  | { readonly _tag: "Unusable"; readonly reason: string }

/** `path` as somebody typed it: relative to the working directory, through links, with wildcards. */
export const namedPath = (tree: FileTreeService, path: string): Effect.Effect<NamedPath> =>
  Effect.gen(function* () {
    const absolute = resolve(path)
    const found = yield* existing(tree, absolute)
    if (found._tag !== "Absent" || !isGlob(path)) return found
    const { base, pattern } = yield* splitGlob(tree, absolute)
    if (!isGlob(pattern)) return found
    const directory = yield* existing(tree, base)
    if (directory._tag === "Directory") return { _tag: "Pattern", root: directory.root, pattern } as const
    return directory._tag === "File"
      ? ({ _tag: "Unusable", reason: `${JSON.stringify(base)} is a file, not a directory.` } as const)
      : directory
  })

/** The directory before the first part with a wildcard, and the rest. What is there by just that name has none: `[id]`. */
const splitGlob = (
  tree: FileTreeService,
  absolute: string
): Effect.Effect<{ readonly base: string; readonly pattern: string }> =>
  Effect.gen(function* () {
    const parts = absolute.split("/")
    const baseOf = (at: number) => parts.slice(0, at).join("/") || "/"
    const nextGlob = (from: number) => parts.findIndex((part, at) => at >= from && isGlob(part))
    let first = nextGlob(0)
    while (first >= 0 && (yield* existing(tree, baseOf(first + 1)))._tag === "Directory")
      first = nextGlob(first + 1)
    const at = first < 0 ? parts.length : first
    return { base: baseOf(at), pattern: parts.slice(at).join("/") }
  })

const existing = (tree: FileTreeService, absolute: string): Effect.Effect<NamedPath> =>
  Effect.gen(function* () {
    const resolved = yield* Effect.either(tree.resolve(ofText(absolute)))
    if (Either.isLeft(resolved)) {
      const { code } = resolved.left
      const reason = `${meaning(code)}. Check the spelling.`
      return code === "ENOENT" || code === "ENOTDIR"
        ? ({ _tag: "Absent", absolute, reason: "It does not exist. Check the spelling." } as const)
        : ({ _tag: "Unusable", reason: `It cannot be reached: ${reason}` } as const)
    }
    const real = resolved.right
    const [stat] = yield* tree.examine([real])
    if (stat === undefined || Either.isLeft(stat)) {
      return { _tag: "Absent", absolute, reason: "It vanished while it was looked at." } as const
    }
    const { directory, name } = split(real)
    const root = stat.right.kind === "directory" ? real : directory
    if (!isText(root)) {
      const reason = `The directory's path is no valid UTF-8 (${JSON.stringify(toText(root))}). Add a directory above it.`
      return { _tag: "Unusable", reason } as const
    }
    if (stat.right.kind === "directory") return { _tag: "Directory", root } as const
    if (stat.right.kind === "file") {
      return { _tag: "File", root, name, pattern: literally(toText(name)) } as const
    }
    return { _tag: "Unusable", reason: "It is a pipe, socket or device, not a file or directory." } as const
  })
