/**
 * The connections of simulated processes. Those of a dead one are closed by nobody else, and most statements of a short
 * life are never run: here each is prepared when it is first asked for something.
 */
import Sqlite from "better-sqlite3"

/** Whoever opened them. */
const opened = new Set<Sqlite.Database>()
const { exec, pragma, prepare } = Sqlite.prototype

type Statement = Sqlite.Statement<Array<unknown>, unknown>

/** Wrong SQL is reported when it is first run, not before. */
class LaterStatement implements Statement {
  readonly database: Sqlite.Database
  readonly source: string
  readonly #modes: Array<(statement: Statement) => void> = []
  #prepared: Statement | undefined

  constructor(database: Sqlite.Database, source: string) {
    this.database = database
    this.source = source
  }

  get #now(): Statement {
    if (this.#prepared !== undefined) return this.#prepared
    const statement: Statement = prepare.call(this.database, this.source)
    for (const set of this.#modes) set(statement)
    this.#prepared = statement
    return statement
  }

  #set(mode: (statement: Statement) => void): this {
    if (this.#prepared === undefined) this.#modes.push(mode)
    else mode(this.#prepared)
    return this
  }

  get reader(): boolean {
    return this.#now.reader
  }
  get readonly(): boolean {
    return this.#now.readonly
  }
  get busy(): boolean {
    return this.#prepared?.busy ?? false
  }
  run(...given: Array<unknown>): Sqlite.RunResult {
    return this.#now.run(...given)
  }
  get(...given: Array<unknown>): unknown {
    return this.#now.get(...given)
  }
  all(...given: Array<unknown>): Array<unknown> {
    return this.#now.all(...given)
  }
  iterate(...given: Array<unknown>): IterableIterator<unknown> {
    return this.#now.iterate(...given)
  }
  columns(): Array<Sqlite.ColumnDefinition> {
    return this.#now.columns()
  }
  bind(...given: Array<unknown>): this {
    return this.#set((statement) => statement.bind(...given))
  }
  pluck(on = true): this {
    return this.#set((statement) => statement.pluck(on))
  }
  expand(on = true): this {
    return this.#set((statement) => statement.expand(on))
  }
  raw(on = true): this {
    return this.#set((statement) => statement.raw(on))
  }
  safeIntegers(on = true): this {
    return this.#set((statement) => statement.safeIntegers(on))
  }
}

Sqlite.prototype.prepare = function (this: Sqlite.Database, source: string) {
  opened.add(this)
  return new LaterStatement(this, source)
} as typeof prepare
Sqlite.prototype.exec = function (this: Sqlite.Database, ...given: Parameters<typeof exec>) {
  opened.add(this)
  return exec.apply(this, given)
}
Sqlite.prototype.pragma = function (this: Sqlite.Database, ...given: Parameters<typeof pragma>) {
  opened.add(this)
  return pragma.apply(this, given)
}

export const closeAll = (below: string): void => {
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
