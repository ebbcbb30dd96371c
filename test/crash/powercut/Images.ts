/**
 * Images of a disk after a power cut: all that an fsync had promised, and a seeded choice of everything else. Of what
 * was written since, each write may be there, absent, or torn at 512 bytes, and each page of 4,096 bytes, or each sector,
 * may be in any state that it went through (which is what a reordering of write-backs leaves); a file's length, too. Names
 * that were changed since the last fsync of their folder may be old or new, each for itself.
 */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Random } from "../../support/random.ts"
import {
  Content,
  type FileStep,
  type FolderStep,
  type TracedFile,
  TracedFolder,
  type TracedNode
} from "./TracedDisk.ts"

/** What becomes of what nobody had promised. */
export const fates = [
  "all",
  "none",
  "first",
  "some",
  "torn",
  "pages",
  "sectors",
  "all but one",
  "only one"
] as const
export type Fate = (typeof fates)[number]

export interface Image {
  readonly files: ReadonlyMap<string, Buffer>
  readonly folders: ReadonlyArray<string>
}

const one = <A>(from: ReadonlyArray<A>, random: Random): A | undefined =>
  from[Math.floor(random() * from.length)]

/** SQLite makes its shared memory anew whenever nobody has the file open. */
const isShared = (name: string): boolean => name.endsWith("-shm")

/** The image of a cut right after the moment `at`. */
export const imageAt = (root: TracedFolder, at: number, random: Random): Image => {
  const files = new Map<string, Buffer>()
  const folders: Array<string> = []
  const usual = one(fates, random) ?? "none"
  const namesUsual = one(fates, random) ?? "none"
  /** Mostly one fate for all; at times each has its own. */
  const isMixed = random() < 0.3
  const contents = new Map<TracedNode, Buffer>()
  const walk = (folder: TracedFolder, path: string): void => {
    const names = namesOf(folder, at, isMixed ? (one(fates, random) ?? "none") : namesUsual, random)
    for (const [name, node] of names) {
      const place = path === "" ? name : `${path}/${name}`
      if (node instanceof TracedFolder) {
        folders.push(place)
        walk(node, place)
      } else if (!isShared(name)) {
        const known = contents.get(node)
        const content =
          known ?? contentAfter(node, at, isMixed ? (one(fates, random) ?? "none") : usual, random)
        contents.set(node, content)
        files.set(place, content)
      }
    }
  }
  walk(root, "")
  return { files, folders }
}

/** Writes it where nothing is. */
export const writeImage = ({ files, folders }: Image, to: string): void => {
  mkdirSync(to, { recursive: true })
  for (const folder of folders) mkdirSync(join(to, folder))
  for (const [path, bytes] of files) writeFileSync(join(to, path), bytes)
}

const split = <S extends { readonly at: number; readonly durableAt: number }>(
  steps: ReadonlyArray<S>,
  at: number
) => {
  const isThere = steps.filter((step) => step.at <= at)
  return {
    promised: isThere.filter(({ durableAt }) => durableAt <= at),
    open: isThere.filter(({ durableAt }) => durableAt > at)
  }
}

/** Which of `count` steps happened. */
const chosen = (count: number, fate: Fate, random: Random): ((index: number) => boolean) => {
  const pick = Math.floor(random() * count)
  switch (fate) {
    case "all":
      return () => true
    case "none":
      return () => false
    case "first":
      return (index) => index < pick
    case "all but one":
      return (index) => index !== pick
    case "only one":
      return (index) => index === pick
    default: {
      const share = random()
      return () => random() < share
    }
  }
}

const namesOf = (
  folder: TracedFolder,
  at: number,
  fate: Fate,
  random: Random
): ReadonlyMap<string, TracedNode> => {
  const names = new Map<string, TracedNode>()
  const perform = ({ changes }: FolderStep) => {
    for (const [name, node] of changes)
      if (node === undefined) names.delete(name)
      else names.set(name, node)
  }
  const { open, promised } = split(folder.steps, at)
  for (const step of promised) perform(step)
  const happens = chosen(open.length, fate, random)
  for (const [index, step] of open.entries()) if (happens(index)) perform(step)
  return names
}

/** What is certain of a file grows with time: it is made from what it was before. */
const certain = new WeakMap<TracedFile, { readonly count: number; readonly content: Content }>()

const contentAfter = (file: TracedFile, at: number, fate: Fate, random: Random): Buffer => {
  const { open, promised } = split(file.steps, at)
  const known = certain.get(file)
  const base =
    known !== undefined && known.count <= promised.length ? known : { count: 0, content: new Content() }
  for (const step of promised.slice(base.count)) base.content.apply(step)
  certain.set(file, { count: promised.length, content: base.content })
  const content = new Content(base.content.bytes())
  if (open.length === 0) return content.bytes()
  if (fate === "pages" || fate === "sectors")
    return mixed(content, open, fate === "pages" ? 4096 : 512, random)
  const happens = chosen(open.length, fate, random)
  for (const [index, step] of open.entries()) {
    if (!happens(index)) continue
    if (fate === "torn" && step.kind === "write" && random() < 0.5) tear(content, step, random)
    else content.apply(step)
  }
  return content.bytes()
}

/** Some of the sectors of a write. */
const tear = (
  content: Content,
  { bytes, offset }: Extract<FileStep, { kind: "write" }>,
  random: Random
): void => {
  const share = random()
  for (let from = offset; from < offset + bytes.length; ) {
    const to = Math.min(offset + bytes.length, (Math.floor(from / 512) + 1) * 512)
    if (random() < share) content.write(from, bytes.subarray(from - offset, to - offset))
    from = to
  }
}

/** Each unit in any of the states that it went through, the file at any of its lengths. */
const mixed = (content: Content, open: ReadonlyArray<FileStep>, unit: number, random: Random): Buffer => {
  const sizes = [content.size]
  const states = new Map<number, Array<Buffer>>()
  const state = (at: number) => Buffer.from(content.bytes().subarray(at * unit, (at + 1) * unit))
  for (const step of open) {
    const units = unitsOf(step, unit)
    for (const at of units) if (!states.has(at)) states.set(at, [state(at)])
    content.apply(step)
    for (const at of units) states.get(at)?.push(state(at))
    sizes.push(content.size)
  }
  for (const [at, all] of states) content.write(at * unit, one(all, random) ?? Buffer.alloc(0))
  content.resize(one(sizes, random) ?? 0)
  return content.bytes()
}

const unitsOf = (step: FileStep, unit: number): ReadonlyArray<number> => {
  if (step.kind === "size") return []
  const first = Math.floor(step.offset / unit)
  const last = Math.floor((step.offset + step.bytes.length - 1) / unit)
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}
