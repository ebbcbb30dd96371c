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
import Sqlite from "better-sqlite3"
import { openTestWriter } from "../support/logEvents.ts"

/** In memory where there is such a place: what a power cut leaves is another test's question. */
const room = existsSync("/dev/shm") ? "/dev/shm" : tmpdir()

/** Connections that were opened here, whoever opened them: those of a dead process are closed by nobody else. */
const opened = new Set<Sqlite.Database>()
const { exec, pragma, prepare } = Sqlite.prototype
Sqlite.prototype.prepare = function (this: Sqlite.Database, ...given: Parameters<typeof prepare>) {
  opened.add(this)
  return prepare.apply(this, given)
} as typeof prepare
Sqlite.prototype.exec = function (this: Sqlite.Database, ...given: Parameters<typeof exec>) {
  opened.add(this)
  return exec.apply(this, given)
}
Sqlite.prototype.pragma = function (this: Sqlite.Database, ...given: Parameters<typeof pragma>) {
  opened.add(this)
  return pragma.apply(this, given)
}

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

const closeAll = (below: string): void => {
  for (const one of opened) {
    if (one.open && !one.name.startsWith(below)) continue
    opened.delete(one)
    try {
      if (one.open) one.close()
    } catch {
      // Busy in a statement that its process will never end.
    }
  }
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
