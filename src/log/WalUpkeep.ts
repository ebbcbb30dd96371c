/**
 * When what the write-ahead logs hold is moved into their databases: after a write, once they are long.
 */
import type { Database } from "better-sqlite3"
import type { FailpointsService } from "../faults/Failpoints.ts"
import { fileIdentity, walPages } from "./LogDatabase.ts"

export class WalUpkeep {
  readonly #pages: number
  /** Which file each database's log was when it was looked at first. */
  readonly #opened = new WeakMap<Database, string>()
  readonly #failpoints: FailpointsService
  #next: number

  /** `pages` in a WAL from which on they are moved. */
  constructor(pages: number, failpoints: FailpointsService) {
    this.#pages = pages
    this.#failpoints = failpoints
    this.#next = pages
  }

  /**
   * Throws where a database's log is another file by now, or deleted: what is written would go with this process. What was
   * acknowledged is moved into the database first.
   */
  assertThere(databases: ReadonlyArray<Database>): void {
    for (const db of databases) {
      if (!db.open) continue
      const path = `${db.name}-wal`
      const found = fileIdentity(path)
      const opened = this.#opened.get(db) ?? found
      this.#opened.set(db, opened)
      if (opened === found) continue
      walPages(db, "PASSIVE")
      throw new Error(
        `${path} was replaced or deleted while it was open. Stop this process and start it again.`
      )
    }
  }

  /** Pinned by a reader, it tries again as they grow. Answers why it could not, if so; never throws. */
  afterWrite(databases: ReadonlyArray<Database>): string | undefined {
    let pages = 0
    try {
      pages = Math.max(...databases.map((db) => walPages(db, "NOOP").written))
      if (pages < this.#next) return undefined
      this.#failpoints.hit("wal.checkpoint.before")
      let left = 0
      for (const db of databases) {
        const { moved, written } = walPages(db, "PASSIVE")
        left += written - moved
      }
      this.#failpoints.hit("wal.checkpoint.after")
      this.#next = left === 0 ? this.#pages : pages + this.#pages
      return undefined
    } catch (cause) {
      this.#next = pages + this.#pages
      return `The write-ahead log could not be checkpointed: ${String(cause)}`
    }
  }
}
