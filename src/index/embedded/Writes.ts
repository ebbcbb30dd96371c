/**
 * How a project's file is written. Others read it: each write is a transaction of its own, in the write-ahead log beside which
 * they go on. Nobody does: all writes up to a sync are one transaction, in the file itself, where each page is written once
 * instead of twice. What was there before is in a rollback journal, as SQLite keeps one, and comes back after a crash.
 */
import Sqlite from "better-sqlite3"
import { damaged, durably, guarded, type OpenFile, writing } from "./Database.ts"

export class Writes {
  readonly #file: OpenFile
  /** The file's own count of its writes. */
  readonly #count: () => number
  #isUnseen = false
  /** What the last write left, while nobody reads. */
  #left: number | undefined

  constructor(file: OpenFile, count: () => number) {
    this.#file = file
    this.#count = count
  }

  /** A throw leaves nothing of it; where nobody reads, nothing since the last sync, and every later write fails. */
  write<A>(run: () => A): A {
    if (!this.#isUnseen) return writing(this.#file, run)
    return this.#guarded(() => {
      const { connection } = this.#file
      if (!connection.inTransaction) connection.exec("BEGIN IMMEDIATE")
      this.#check()
      const result = run()
      this.#left = this.#count()
      return result
    })
  }

  /** On disk when it returns, with everything that was written before. */
  sync<A>(run: () => A): A {
    if (!this.#isUnseen) return durably(this.#file, run)
    const result = this.write(run)
    this.#commit()
    return result
  }

  /** Nobody reads until {@link seen}. Where somebody has it open all the same, it is written as ever. */
  unseen(): void {
    if (this.#isUnseen || !this.#isAlone()) return
    // A journal whose end is not on disk would take the transaction back after a power cut.
    this.#guarded(() => this.#file.connection.pragma("synchronous = FULL"))
    this.#isUnseen = true
    this.#left = undefined
  }

  #isAlone(): boolean {
    const { connection, path } = this.#file
    try {
      return connection.pragma("journal_mode = TRUNCATE", { simple: true }) === "truncate"
    } catch (cause) {
      if (cause instanceof Sqlite.SqliteError && cause.code === "SQLITE_BUSY") return false
      return guarded(path, () => {
        throw cause
      })
    }
  }

  /** What was written stays, and others may read from here on. */
  seen(): void {
    if (!this.#isUnseen) return
    this.#guarded(() => this.#check())
    this.#commit()
    this.#guarded(() => {
      const { connection } = this.#file
      connection.pragma("synchronous = NORMAL")
      connection.pragma("journal_mode = WAL")
    })
    this.#isUnseen = false
  }

  /** What was taken back since the last sync is to be written again. */
  again(): void {
    this.#left = undefined
  }

  /** Others count on what was written since the last sync: it is not for this to go on without. */
  #check(): void {
    if (this.#left !== undefined && this.#count() !== this.#left)
      throw damaged(this.#file.path, "What was written since the last sync was taken back.")
  }

  #commit(): void {
    this.#guarded(() => {
      const { connection } = this.#file
      if (connection.inTransaction) connection.exec("COMMIT")
    })
  }

  #guarded<A>(run: () => A): A {
    return guarded(this.#file.path, () => {
      try {
        return run()
      } catch (cause) {
        if (this.#file.connection.inTransaction) this.#file.connection.exec("ROLLBACK")
        throw cause
      }
    })
  }
}
