/**
 * Histories of files as people make them, in two projects: data that FastCheck generates and shrinks, with the tree that
 * must stand in the end.
 *
 * Every operation is total: where what it needs is not there it does nothing, so that a history from which operations
 * were dropped is a history again. Each project's root holds {@link anchor} from the start, which nothing touches: a root
 * that is empty, or where everything is gone at once, is a case of its own.
 */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync
} from "node:fs"
import { dirname, join } from "node:path"
import { FastCheck as fc } from "effect"

export const historyProjects = ["one", "two"] as const
export type HistoryProject = (typeof historyProjects)[number]

export type Operation =
  /** Creates a file, or gives it another content. */
  | { readonly kind: "write"; readonly path: string; readonly text: string }
  /** Creates a file, or adds to its end. */
  | { readonly kind: "append"; readonly path: string; readonly text: string }
  | { readonly kind: "truncate"; readonly path: string }
  | { readonly kind: "delete"; readonly path: string }
  /** Takes the place of what is there. */
  | { readonly kind: "rename"; readonly from: string; readonly to: string }
  | { readonly kind: "swap"; readonly one: string; readonly other: string }
  /** Brings back what a file held when it was last deleted or renamed away. Does nothing while the file is there. */
  | { readonly kind: "restore"; readonly path: string }
  /** Names a path in `.repriseignore`. */
  | { readonly kind: "ignore"; readonly path: string }
  | { readonly kind: "unignore"; readonly path: string }
  /** Here the index is brought up to date. */
  | { readonly kind: "sync" }

export interface Step {
  readonly project: HistoryProject
  readonly operation: Operation
}
export type History = ReadonlyArray<Step>

/** The file that stands in every root and is never touched. */
export const anchor = { path: "anchor.md", text: "# Anchor\n\nThis stays where it is.\n" } as const
export const ignoreFile = ".repriseignore"

/** No path is a folder of another; blanks, letters beyond ASCII and beyond the basic plane, deep folders. */
export const historyPaths: ReadonlyArray<string> = [
  "readme.md",
  "notes/a.md",
  "notes/b.txt",
  "notes/über uns.md",
  "deep/er/still/c.md",
  "deep/𝛼.txt"
]

/** What a root holds: files by path, and what would come back. */
export interface Tree {
  readonly files: Map<string, string>
  readonly former: Map<string, string>
  readonly ignored: Set<string>
}

export const initialTree = (): Tree => ({
  files: new Map([[anchor.path, anchor.text]]),
  former: new Map(),
  ignored: new Set()
})

/** Performs an operation in memory. */
export const applyToMemory = (tree: Tree, operation: Operation): void => {
  const { files, former, ignored } = tree
  switch (operation.kind) {
    case "write":
      files.set(operation.path, operation.text)
      break
    case "append":
      files.set(operation.path, (files.get(operation.path) ?? "") + operation.text)
      break
    case "truncate":
      if (files.has(operation.path)) files.set(operation.path, "")
      break
    case "delete":
      takeAway(tree, operation.path)
      break
    case "rename": {
      if (operation.from === operation.to) break
      const text = takeAway(tree, operation.from)
      if (text !== undefined) files.set(operation.to, text)
      break
    }
    case "swap": {
      const one = files.get(operation.one)
      const other = files.get(operation.other)
      if (one === undefined || other === undefined) break
      files.set(operation.one, other).set(operation.other, one)
      break
    }
    case "restore": {
      const text = former.get(operation.path)
      if (text !== undefined && !files.has(operation.path)) files.set(operation.path, text)
      break
    }
    case "ignore":
      ignored.add(operation.path)
      break
    case "unignore":
      ignored.delete(operation.path)
      break
    case "sync":
  }
}

const takeAway = ({ files, former }: Tree, path: string): string | undefined => {
  const text = files.get(path)
  if (text === undefined) return undefined
  files.delete(path)
  former.set(path, text)
  return text
}

/** Both trees as they stand after the history. */
export const treesAfter = (history: History): ReadonlyMap<HistoryProject, Tree> => {
  const trees = new Map(historyProjects.map((project) => [project, initialTree()] as const))
  for (const { project, operation } of history) {
    const tree = trees.get(project)
    if (tree !== undefined) applyToMemory(tree, operation)
  }
  return trees
}

/** By project and path the text of each file that must be found in the end: neither ignored nor empty. */
export const expectedFiles = (history: History): ReadonlyMap<HistoryProject, ReadonlyMap<string, string>> =>
  new Map([...treesAfter(history)].map(([project, tree]) => [project, findable(tree)]))

export const findable = ({ files, ignored }: Tree): ReadonlyMap<string, string> =>
  new Map([...files].filter(([path, text]) => text !== "" && !ignored.has(path)))

/** The folder of a project below the directory of a history. */
export const rootOf = (directory: string, project: HistoryProject): string => join(directory, project)

/**
 * Performs a history on real files below `directory`, a folder for each project. Where the history says `sync`,
 * `onSync` is called for that project and waited for.
 */
export const applyToTree = async (
  history: History,
  directory: string,
  onSync: (project: HistoryProject) => void | Promise<void> = () => {}
): Promise<void> => {
  const performed = new Map<HistoryProject, Tree>()
  for (const project of historyProjects) {
    performed.set(project, initialTree())
    write(rootOf(directory, project), anchor.path, anchor.text)
  }
  for (const { project, operation } of history) {
    const tree = performed.get(project)
    if (tree === undefined) continue
    if (operation.kind === "sync") await onSync(project)
    else perform(rootOf(directory, project), operation, tree)
    applyToMemory(tree, operation)
  }
}

/** With the calls that a person's tools make: what the files were is remembered only for `restore` and the ignore list. */
const perform = (root: string, operation: Operation, before: Tree): void => {
  const at = (path: string): string => join(root, path)
  switch (operation.kind) {
    case "write":
      write(root, operation.path, operation.text)
      break
    case "append":
      mkdirSync(dirname(at(operation.path)), { recursive: true })
      appendFileSync(at(operation.path), operation.text)
      break
    case "truncate":
      if (existsSync(at(operation.path))) truncateSync(at(operation.path))
      break
    case "delete":
      rmSync(at(operation.path), { force: true })
      break
    case "rename":
      move(at(operation.from), at(operation.to))
      break
    case "swap": {
      if (operation.one === operation.other) break
      if (!existsSync(at(operation.one)) || !existsSync(at(operation.other))) break
      const aside = join(dirname(root), "aside")
      move(at(operation.one), aside)
      move(at(operation.other), at(operation.one))
      move(aside, at(operation.other))
      break
    }
    case "restore": {
      const text = before.former.get(operation.path)
      if (text !== undefined && !existsSync(at(operation.path))) write(root, operation.path, text)
      break
    }
    case "ignore":
      writeIgnored(root, new Set([...before.ignored, operation.path]))
      break
    case "unignore":
      writeIgnored(root, new Set([...before.ignored].filter((path) => path !== operation.path)))
      break
    case "sync":
  }
}

const write = (root: string, path: string, text: string): void => {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}

const move = (from: string, to: string): void => {
  if (!existsSync(from) || from === to) return
  mkdirSync(dirname(to), { recursive: true })
  renameSync(from, to)
}

const writeIgnored = (root: string, ignored: ReadonlySet<string>): void => {
  if (ignored.size === 0) rmSync(join(root, ignoreFile), { force: true })
  else writeFileSync(join(root, ignoreFile), [...ignored].map((path) => `/${path}\n`).join(""))
}

/** What stands on disk below a root at the history's paths. */
export const filesOnDisk = (root: string): ReadonlyMap<string, string> =>
  new Map(
    [anchor.path, ...historyPaths]
      .filter((path) => existsSync(join(root, path)))
      .map((path) => [path, readFileSync(join(root, path), "utf8")])
  )

// Few words, so that chunks of different files, and of one file before and after, are often equal.
const words = [
  "retry",
  "lease",
  "epoch",
  "Größe",
  "commit",
  "point",
  "état",
  "window",
  "ledger",
  "🦊",
  "of",
  "the"
]
const word = fc.constantFrom(...words)
const sentence = fc.array(word, { minLength: 3, maxLength: 12 }).map((picked) => `${picked.join(" ")}.`)
const block = fc.oneof(
  { weight: 4, arbitrary: fc.array(sentence, { minLength: 1, maxLength: 12 }).map((all) => all.join(" ")) },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.integer({ min: 1, max: 3 }), word).map(([n, title]) => `${"#".repeat(n)} ${title}`)
  },
  {
    weight: 1,
    arbitrary: fc
      .array(word, { minLength: 1, maxLength: 4 })
      .map((all) => all.map((one) => `- ${one}`).join("\n"))
  },
  { weight: 1, arbitrary: sentence.map((code) => `\`\`\`\n${code}\n\`\`\``) }
)

/** Markdown of one to six blocks, never blank. */
export const textArbitrary: fc.Arbitrary<string> = fc
  .array(block, { minLength: 1, maxLength: 6 })
  .map((blocks) => `${blocks.join("\n\n")}\n`)

const path = fc.constantFrom(...historyPaths)

export const operationArbitrary: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("write" as const), path, text: textArbitrary }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("append" as const), path, text: textArbitrary }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("truncate" as const), path }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("delete" as const), path }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("rename" as const), from: path, to: path }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("swap" as const), one: path, other: path }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("restore" as const), path }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("ignore" as const), path }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("unignore" as const), path }) },
  { weight: 5, arbitrary: fc.constant({ kind: "sync" as const }) }
)

/** Up to `maxLength` steps, a sync of each project at the end. */
export const historyArbitrary = (maxLength = 30): fc.Arbitrary<History> =>
  fc
    .array(fc.record({ project: fc.constantFrom(...historyProjects), operation: operationArbitrary }), {
      maxLength
    })
    .map((steps) => [
      ...steps,
      ...historyProjects.map((project) => ({ project, operation: { kind: "sync" as const } }))
    ])

/** A history by its number: for runs that want many without FastCheck's runner. */
export const historyOf = (seed: number, maxLength = 30): History =>
  fc.sample(historyArbitrary(maxLength), { seed, numRuns: 1 })[0] ?? []
