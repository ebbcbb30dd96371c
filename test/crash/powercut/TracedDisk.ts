/**
 * The files below one folder as a trace tells them: for each file what was written to it, for each folder what names it
 * was given, and from which moment on each of it was on disk, because an fsync of that file or folder had returned.
 *
 * What POSIX promises and no more: an fsync of a file says nothing of its name, and names that were changed since the last
 * fsync of their folder may be there or not, each for itself.
 */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { argumentsOf, type Call, stringsOf } from "./Trace.ts"

interface Step {
  readonly at: number
  /** The end of the first fsync that began after it; infinite where there is none. */
  durableAt: number
}
export type FileStep = Step &
  (
    | { readonly kind: "write"; readonly offset: number; readonly bytes: Buffer }
    | { readonly kind: "size"; readonly size: number }
  )
/** Names that changed at once: a rename within a folder changes two. */
export type FolderStep = Step & { readonly changes: ReadonlyArray<readonly [string, TracedNode | undefined]> }

export class TracedFile {
  readonly steps: Array<FileStep> = []
}
export class TracedFolder {
  readonly steps: Array<FolderStep> = []
  /** As the process sees it. */
  readonly now = new Map<string, TracedNode>()
}
export type TracedNode = TracedFile | TracedFolder

/** What the process wrote to its standard output: what it promised. */
export interface Promised {
  readonly at: number
  readonly line: string
}

interface Open {
  readonly node: TracedNode
  offset: number
}

export class TracedDisk {
  readonly root = new TracedFolder()
  readonly promised: Array<Promised> = []
  /** Every moment at which something changed, or was promised. */
  readonly moments: ReadonlyArray<number>
  readonly #path: string
  readonly #open = new Map<number, Open>()

  /** `path`: the folder that is followed, as the process knows it; `base`: what stood in it before, all of it on disk. */
  constructor(path: string, base: string | undefined, calls: ReadonlyArray<Call>) {
    this.#path = path
    if (base !== undefined) this.#take(base, this.root)
    const moments = new Set<number>()
    const steps = calls.flatMap((call) => {
      if (call.result < 0) return []
      if (call.name === "fsync" || call.name === "fdatasync") return [{ at: call.begun, call }]
      return [{ at: call.name === "openat" ? call.ended : call.begun, call }]
    })
    for (const { at, call } of steps.sort((one, other) => one.at - other.at))
      if (this.#perform(call, at)) moments.add(call.name.includes("sync") ? call.ended : at)
    this.moments = [...moments].sort((one, other) => one - other)
  }

  #take(path: string, into: TracedFolder): void {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      const from = join(path, entry.name)
      const node = entry.isDirectory() ? new TracedFolder() : new TracedFile()
      if (node instanceof TracedFolder) this.#take(from, node)
      else node.steps.push({ at: -1, durableAt: -1, kind: "write", offset: 0, bytes: readFileSync(from) })
      into.now.set(entry.name, node)
      into.steps.push({ at: -1, durableAt: -1, changes: [[entry.name, node]] })
    }
  }

  /** Answers whether it concerned the folder or a promise. */
  #perform(call: Call, at: number): boolean {
    const args = argumentsOf(call)
    const descriptor = Number(args[0])
    const open = this.#open.get(descriptor)
    switch (call.name) {
      case "openat":
        return this.#opened(call, args, at)
      case "close":
        this.#open.delete(descriptor)
        return false
      case "write":
      case "pwrite64":
      case "writev":
      case "pwritev":
      case "pwritev2": {
        const bytes = Buffer.concat(stringsOf(call)).subarray(0, call.result)
        if (descriptor === 1) {
          const lines = bytes
            .toString("utf8")
            .split("\n")
            .filter((one) => one !== "")
          this.promised.push(...lines.map((line) => ({ at, line })))
          return true
        }
        if (open === undefined || open.node instanceof TracedFolder) return false
        const isPlaced = call.name.startsWith("p")
        const offset = isPlaced
          ? Number(args[call.name === "pwritev2" ? args.length - 2 : args.length - 1])
          : open.offset
        this.#wrote(open.node, offset, bytes, at)
        if (!isPlaced) open.offset += bytes.length
        return true
      }
      case "ftruncate":
        if (!(open?.node instanceof TracedFile)) return false
        open.node.steps.push({ at, durableAt: Number.POSITIVE_INFINITY, kind: "size", size: Number(args[1]) })
        return true
      case "copy_file_range":
      case "sendfile":
        return this.#copied(call, args, at)
      case "fsync":
      case "fdatasync":
        if (open === undefined) return false
        for (const step of open.node.steps) step.durableAt = Math.min(step.durableAt, call.ended)
        return true
      case "mkdir":
      case "unlink":
      case "rmdir":
      case "rename":
        return this.#named(call, at)
      default:
        if (/^(dup|fallocate|truncate|link|symlink|renameat|unlinkat|mkdirat)/.test(call.name))
          if (open !== undefined || stringsOf(call).some((path) => this.#below(path) !== undefined))
            throw new Error(`Nobody follows ${call.name} of files yet: ${call.text.slice(0, 200)}`)
        return false
    }
  }

  #opened(call: Call, args: ReadonlyArray<string>, at: number): boolean {
    const [path] = stringsOf(call)
    const place = path === undefined ? undefined : this.#below(path)
    if (place === undefined) {
      this.#open.delete(call.result)
      return false
    }
    const flags = args[2] ?? ""
    const { folder, name } = place
    let changed = false
    let node = name === "" ? folder : folder.now.get(name)
    if (node === undefined) {
      if (!flags.includes("O_CREAT")) throw new Error(`${path} was opened and is not known.`)
      node = new TracedFile()
      this.#name(folder, [[name, node]], at)
      changed = true
    }
    if (flags.includes("O_TRUNC") && node instanceof TracedFile) {
      node.steps.push({ at, durableAt: Number.POSITIVE_INFINITY, kind: "size", size: 0 })
      changed = true
    }
    this.#open.set(call.result, { node, offset: 0 })
    return changed
  }

  /** The bytes are those that the source has at that moment. */
  #copied({ name, result }: Call, args: ReadonlyArray<string>, at: number): boolean {
    const [first, second] = name === "sendfile" ? [args[1], args[0]] : [args[0], args[2]]
    const from = this.#open.get(Number(first))
    const to = this.#open.get(Number(second))
    if (to === undefined || !(to.node instanceof TracedFile)) return false
    if (!(from?.node instanceof TracedFile))
      throw new Error(`${name} copied from a file that is not followed.`)
    const bytes = contentOf(from.node.steps).subarray(from.offset, from.offset + result)
    this.#wrote(to.node, to.offset, Buffer.from(bytes), at)
    from.offset += result
    to.offset += result
    return true
  }

  #named(call: Call, at: number): boolean {
    const [first, second] = stringsOf(call).map((path) => this.#below(path))
    if (first === undefined) return false
    switch (call.name) {
      case "mkdir":
        this.#name(first.folder, [[first.name, new TracedFolder()]], at)
        return true
      case "rename": {
        if (second === undefined) throw new Error("A file was moved out of the folder that is followed.")
        const node = first.folder.now.get(first.name)
        if (first.folder === second.folder)
          this.#name(
            first.folder,
            [
              [first.name, undefined],
              [second.name, node]
            ],
            at
          )
        else {
          this.#name(second.folder, [[second.name, node]], at)
          this.#name(first.folder, [[first.name, undefined]], at)
        }
        return true
      }
      default:
        this.#name(first.folder, [[first.name, undefined]], at)
        return true
    }
  }

  #wrote(file: TracedFile, offset: number, bytes: Buffer, at: number): void {
    file.steps.push({ at, durableAt: Number.POSITIVE_INFINITY, kind: "write", offset, bytes })
  }

  #name(folder: TracedFolder, changes: FolderStep["changes"], at: number): void {
    for (const [name, node] of changes)
      if (node === undefined) folder.now.delete(name)
      else folder.now.set(name, node)
    folder.steps.push({ at, durableAt: Number.POSITIVE_INFINITY, changes })
  }

  /** The folder and the name within it; nothing for what lies elsewhere. */
  #below(bytes: Buffer): { readonly folder: TracedFolder; readonly name: string } | undefined {
    const path = bytes.toString("utf8").replace(/\/+$/, "")
    if (path === this.#path) return { folder: this.root, name: "" }
    if (!path.startsWith(`${this.#path}/`)) return undefined
    const names = path.slice(this.#path.length + 1).split("/")
    let folder: TracedFolder = this.root
    for (const name of names.slice(0, -1)) {
      const next = folder.now.get(name)
      if (!(next instanceof TracedFolder)) throw new Error(`${path}: ${name} is no folder that is known.`)
      folder = next
    }
    return { folder, name: names.at(-1) ?? "" }
  }
}

/** A file after all of these steps. */
export const contentOf = (steps: ReadonlyArray<FileStep>): Buffer => {
  const content = new Content()
  for (const step of steps) content.apply(step)
  return content.bytes()
}

/** Bytes that grow; what was never written is zero. */
export class Content {
  #bytes: Buffer
  #size: number

  constructor(from: Buffer = Buffer.alloc(0)) {
    this.#bytes = Buffer.from(from)
    this.#size = from.length
  }

  apply(step: FileStep): void {
    if (step.kind === "write") this.write(step.offset, step.bytes)
    else this.resize(step.size)
  }

  write(offset: number, bytes: Buffer): void {
    if (offset + bytes.length > this.#size) this.resize(offset + bytes.length)
    bytes.copy(this.#bytes, offset)
  }

  resize(size: number): void {
    if (size < this.#size) this.#bytes.fill(0, size, this.#size)
    if (size > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(size, this.#bytes.length * 2))
      this.#bytes.copy(larger, 0, 0, this.#size)
      this.#bytes = larger
    }
    this.#size = size
  }

  get size(): number {
    return this.#size
  }

  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#size)
  }
}
