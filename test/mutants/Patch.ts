/**
 * Unified diffs, applied by what they say and not by where: a hunk fits where its lines stand, wherever that is by now, if
 * they stand there once. So a patch survives edits elsewhere in the file, and one that no longer fits says so.
 */

export interface Hunk {
  readonly before: ReadonlyArray<string>
  readonly after: ReadonlyArray<string>
}

export interface FilePatch {
  /** From the root of the tree. */
  readonly path: string
  readonly hunks: ReadonlyArray<Hunk>
}

/** The files that a diff changes. What stands before its first `---` is not read. */
export const parsePatch = (text: string): ReadonlyArray<FilePatch> => {
  const files: Array<{ readonly path: string; readonly hunks: Array<Hunk> }> = []
  let hunk: { readonly before: Array<string>; readonly after: Array<string> } | undefined
  for (const line of text.replace(/\n$/, "").split("\n")) {
    if (line.startsWith("--- ")) hunk = undefined
    else if (hunk === undefined && line.startsWith("+++ ")) {
      files.push({ path: line.slice(4).replace(/^b\//, ""), hunks: [] })
    } else if (line.startsWith("@@ ")) {
      hunk = { before: [], after: [] }
      files.at(-1)?.hunks.push(hunk)
    } else if (hunk !== undefined) {
      // An empty line of context may have lost its only blank.
      const sign = line[0] ?? " "
      if (!"+- ".includes(sign)) throw new Error(`No line of a diff: ${line}`)
      if (sign !== "+") hunk.before.push(line.slice(1))
      if (sign !== "-") hunk.after.push(line.slice(1))
    }
  }
  return files
}

/** The text with the patch in it; throws a sentence where a hunk stands nowhere, or in several places. */
export const applyPatch = (text: string, { hunks, path }: FilePatch): string =>
  hunks
    .reduce((lines: ReadonlyArray<string>, hunk, n) => {
      const places = lines.flatMap((_, at) => (standsAt(lines, at, hunk.before) ? [at] : []))
      const [at] = places
      if (at === undefined) throw new Error(`hunk ${n + 1} is found nowhere in ${path}`)
      if (places.length > 1)
        throw new Error(`hunk ${n + 1} fits ${places.length} places of ${path}: it needs more context`)
      return lines.toSpliced(at, hunk.before.length, ...hunk.after)
    }, text.split("\n"))
    .join("\n")

const standsAt = (lines: ReadonlyArray<string>, at: number, wanted: ReadonlyArray<string>): boolean =>
  wanted.length > 0 && wanted.every((line, n) => lines[at + n] === line)
