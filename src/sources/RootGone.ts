/**
 * A root that goes away while it is scanned (unmounted, renamed) leaves nothing but files that are not there: whoever took
 * them for removed would empty the index. So the root is looked at once more when everything else was.
 */
import { meaning } from "./FileCodes.ts"
import type { FileStat } from "./FileTree.ts"

export interface RootFailed {
  readonly _tag: "Failed"
  readonly code: string
  readonly detail: string
}

/** `device`: on which the scan found it. `now`: what it is, or the code of why nobody can tell. */
export const rootGone = (device: bigint, now: FileStat | string): RootFailed | undefined => {
  const failed = (code: string, detail: string): RootFailed => ({ _tag: "Failed", code, detail })
  if (typeof now === "string")
    return failed(now === "ENOENT" ? "RootMissing" : now, `Its root: ${meaning(now)}.`)
  if (now.kind !== "directory")
    return failed("RootReplaced", `Its root is a ${now.kind} now, not a directory.`)
  // What was mounted there is no longer, or something else is.
  return now.device === device
    ? undefined
    : failed("RootReplaced", "Its root lies on another device than when the scan began.")
}
