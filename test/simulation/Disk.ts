/**
 * The data directory of a simulated server. A death of the process leaves a copy of its files as they stood in that
 * moment, which the next process opens: what was committed, what was only written, and no tidying up.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmdirSync,
  rmSync,
  unlinkSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { openTestWriter } from "../support/logEvents.ts"
import { closeAll } from "./Connections.ts"

/** In memory where there is such a place: what a power cut leaves is another test's question. */
const room = existsSync("/dev/shm") ? "/dev/shm" : tmpdir()

/**
 * Plain loops: `cpSync` and `rmSync` look at each file several times. The shared memory beside a database is left out: who
 * opens it first makes that anew.
 */
const copyFolder = (from: string, to: string): void => {
  mkdirSync(to)
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)]
    if (entry.isDirectory()) copyFolder(source, target)
    else if (!entry.name.endsWith("-shm")) copyFileSync(source, target)
  }
}
const removeFolder = (path: string): void => {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeFolder(join(path, entry.name))
    else unlinkSync(join(path, entry.name))
  }
  rmdirSync(path)
}

/** What the first process of a schedule finds: no directory, an empty log, or all that a first life makes of that. */
export type Beginning = "nothing" | "log" | "settled"

/** Made once each: migrations and a first generation are half of a short life. */
const templates = new Map<Beginning, string>()
const templateOf = (beginning: Beginning, make: (folder: string) => void): string => {
  const made = templates.get(beginning)
  if (made !== undefined) return made
  const folder = mkdtempSync(join(room, "reprise-simulation-"))
  if (templates.size === 0) process.once("exit", removeTemplates)
  make(folder)
  templates.set(beginning, folder)
  return folder
}

/** Whoever runs tests may end their process without a word to it. */
export const removeTemplates = (): void => {
  for (const folder of templates.values()) rmSync(folder, { recursive: true, force: true })
  templates.clear()
}
const emptyLog = (): string => templateOf("log", (folder) => openTestWriter(folder).close())

export class Disk {
  readonly #folder = mkdtempSync(join(room, "reprise-simulation-"))
  #lives = 1
  #dead: Array<string> = []

  /** `settle` lives a first life and puts what it leaves into a folder. */
  constructor(beginning: Beginning, settle: (into: string) => void) {
    if (beginning === "log") copyFolder(emptyLog(), this.directory)
    if (beginning === "settled") copyFolder(templateOf(beginning, settle), this.directory)
  }

  get directory(): string {
    return join(this.#folder, String(this.#lives))
  }

  /** The next process finds what stands there now. May be called in the middle of a step of the process that dies. */
  crash(): void {
    const before = this.directory
    this.#dead.push(before)
    this.#lives++
    if (existsSync(before)) copyFolder(before, this.directory)
  }

  /** What somebody deletes while no process runs. */
  delete(folder: string): void {
    const path = join(this.directory, folder)
    if (existsSync(path)) removeFolder(path)
  }

  /** Closes and deletes what dead processes had, once none of their code is on the stack. */
  bury(): void {
    for (const directory of this.#dead) {
      closeAll(directory)
      if (existsSync(directory)) removeFolder(directory)
    }
    this.#dead = []
  }

  /** As an orderly end leaves it. */
  copyTo(folder: string): void {
    closeAll(this.#folder)
    rmdirSync(folder)
    copyFolder(this.directory, folder)
  }

  remove(): void {
    closeAll(this.#folder)
    removeFolder(this.#folder)
  }
}
