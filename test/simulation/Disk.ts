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

/** A directory as its first opening leaves it. Made once: migrations are a third of a short life. */
let begun: string | undefined
const emptyDirectory = (): string => {
  if (begun !== undefined) return begun
  const folder = mkdtempSync(join(room, "reprise-simulation-"))
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }))
  openTestWriter(folder).close()
  begun = folder
  return folder
}

export class Disk {
  readonly #folder = mkdtempSync(join(room, "reprise-simulation-"))
  #lives = 1
  #dead: Array<string> = []

  constructor(isBegun: boolean) {
    if (isBegun) copyFolder(emptyDirectory(), this.directory)
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

  remove(): void {
    closeAll(this.#folder)
    removeFolder(this.#folder)
  }
}
