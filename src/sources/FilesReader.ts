/**
 * The source `files`: a directory, and what lies below it that nobody told us to ignore.
 *
 * No symbolic link is followed below the root: what a link inside the root points at is scanned where it lies, and what
 * lies outside is nobody's business. Names of files that git or Reprise keep for themselves are left out.
 */
import { Effect, Layer } from "effect"
import { Digest } from "../../events/Ids.ts"
import { readFiles } from "./FileBytes.ts"
import { describe, descriptorOf } from "./FileDescriptor.ts"
import { defaultLimits, type FilesLimits } from "./FilesScan.ts"
import { FileTree, type FileTreeService } from "./FileTree.ts"
import { fileUri, join, ofText } from "./RawPath.ts"
import { PatternRefused, Selection } from "./Selection.ts"
import { type OpenSource, SourceReader, SourceUnreadable } from "./SourceReader.ts"

export const layer = (limits: Partial<FilesLimits> = {}): Layer.Layer<SourceReader, never, FileTree> =>
  Layer.effect(
    SourceReader,
    Effect.map(FileTree, (tree) => open(tree, { ...defaultLimits, ...limits }))
  )

const open = (tree: FileTreeService, limits: FilesLimits): SourceReader["Type"] => ({
  open: Effect.fn("SourceReader.open")(function* (settings) {
    if (settings.kind !== "files") {
      return yield* new SourceUnreadable({
        source: settings.name,
        code: "NotScannable",
        detail: "Its documents are sent to it; there is nothing to scan."
      })
    }
    const { exclude, include } = settings
    yield* Effect.try({
      try: () => new Selection(include, exclude),
      catch: (cause) =>
        new SourceUnreadable({
          source: settings.root,
          code: "PatternRefused",
          detail: `One of its patterns cannot be used${cause instanceof PatternRefused ? `: ${cause.detail}` : "."}`
        })
    })
    const root = ofText(settings.root)
    const source: OpenSource = {
      scan: (only) => tree.scan({ root, include, exclude, limits, only }),
      read: (paths) =>
        readFiles(
          tree,
          paths.map((path) => join(root, path)),
          limits.maxFileBytes
        ),
      describe: (path) => describe(root, path),
      descriptor: (path) => Digest.make(descriptorOf(root, path), { disableValidation: true }),
      uri: (path) => fileUri(join(root, path)),
      maxItemBytes: limits.maxFileBytes
    }
    return source
  })
})
