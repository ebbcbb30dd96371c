/**
 * Why an append is not made: what it rests on is not so. Decided before its first row, against the log as the open
 * transaction sees it.
 */
import type { Position } from "../../events/Ids.ts"
import type { ContentStore } from "./ContentStore.ts"
import type { LogConnection } from "./LogConnection.ts"
import type { EncodedAppend, Refusal } from "./WriteGroup.ts"

/** `position`: where the log ends. */
export const refusalOf = (
  append: EncodedAppend,
  position: Position,
  log: LogConnection,
  content: ContentStore
): Refusal | undefined => {
  if (append.expectedHead !== undefined && append.expectedHead !== position) {
    return { _tag: "HeadMoved", expected: append.expectedHead, actual: position }
  }
  for (const { stream, version: expected } of append.expected ?? []) {
    const actual = log.version(stream)
    if (actual !== expected) return { _tag: "VersionConflict", stream, expected, actual }
  }
  const { team, project } = append
  const { blobs = [], vectors } = append.requires ?? {}
  const missing = blobs.filter((digest) => !content.hasBlob(team, project, digest))
  for (const input of vectors?.inputs ?? []) {
    if (!content.hasVector(team, project, vectors?.model ?? "", input)) missing.push(input)
  }
  return missing.length > 0 ? { _tag: "ContentMissing", missing } : undefined
}
