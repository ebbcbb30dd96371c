/**
 * What must hold of a data directory at rest, whatever happened before. Read by the second readers, which share no code
 * with `src/`, and by a rebuild of the read models.
 */
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import {
  foldedEvents,
  readModelTables,
  rebuildReadModels,
  tableRows
} from "../../src/log/readModels/Rebuild.ts"
import {
  generationFolder,
  generationsIn,
  type IndexReading,
  markerIn,
  readIndex
} from "../model/IndexFile.ts"
import { eventsIn, faultsOfLog, type LogRow, lastFound, liveVersionsAt } from "../model/LogFile.ts"

export interface Wholeness {
  readonly events: number
  readonly generation: string
  /** Of the live generation. */
  readonly model: string
  readonly index: IndexReading
  /** Inputs in `VectorsRecorded`, by model: what was paid for. */
  readonly ledger: ReadonlyMap<string, number>
  /** Vectors that are stored, by model. */
  readonly vectors: ReadonlyMap<string, number>
}

/** Throws an assertion error that names `what` where a part is torn, lost, doubled or left over. */
export const assertWhole = (data: string, what: string): Wholeness => {
  const rows = assertSoundLog(data, what)
  const { generation, pair } = liveGenerationOf(rows, what)
  const epoch = epochOf(rows)
  const index = join(data, "index")
  assert.deepStrictEqual(
    generationsIn(index),
    [`${generation}-e${epoch}`],
    `${what}: generations left in the index`
  )
  assert.deepStrictEqual(
    readdirSync(join(data, "state")).filter((name) => name.endsWith(".sqlite")),
    [`${generation}-e${epoch}.sqlite`],
    `${what}: states left over`
  )
  const folder = generationFolder(index, generation, epoch)
  const marker = markerIn(folder)
  const checkpoint = marker?.checkpoint ?? -1
  assert.isAtLeast(checkpoint, lastFound(rows), `${what}: the index lacks what was to be found`)
  assert.isAtMost(checkpoint, rows.length, `${what}: the index is ahead of the log`)
  const read = readIndex(folder, rows.length)
  assert.deepStrictEqual(read.faults, [], `${what}: faults in the index`)
  const found = new Map(
    [...read.projects].flatMap(([project, { documents }]) =>
      [...documents].map(([document, chunks]) => [document, `${project} ${chunks.size}`] as const)
    )
  )
  const expected = new Map(
    [...liveVersionsAt(rows, rows.length, pair)].map(([document, { scope, chunks }]) => [
      document,
      `${scope} ${chunks}`
    ])
  )
  assert.deepStrictEqual(
    [...found].sort(byName),
    [...expected].sort(byName),
    `${what}: documents in the index and in the log`
  )
  return {
    events: rows.length,
    generation,
    model: pair.model,
    index: read,
    ledger: ledgerOf(rows),
    vectors: vectorsIn(join(data, "content.sqlite"))
  }
}

/** The log alone, as a crash may leave it: chain, versions, witnesses, read models. */
export const assertSoundLog = (data: string, what: string): ReadonlyArray<LogRow> => {
  const path = join(data, "log.sqlite")
  const rows = eventsIn(path)
  const head = join(data, "head")
  const witnesses = existsSync(head) ? [JSON.parse(readFileSync(head, "utf8"))] : []
  assert.deepStrictEqual(faultsOfLog(rows, witnesses), [], `${what}: faults in the log`)
  const { inline, rebuilt } = readModelsOf(path)
  assert.strictEqual(rebuilt, inline, `${what}: read models rebuilt from the events differ`)
  return rows
}

const byName = ([one]: readonly [string, string], [other]: readonly [string, string]): number =>
  one < other ? -1 : 1

const dataOf = (row: LogRow): Readonly<Record<string, unknown>> => JSON.parse(row.data.toString("utf8"))

const epochOf = (rows: ReadonlyArray<LogRow>): number =>
  Number(JSON.parse(rows.at(-1)?.metadata.toString("utf8") ?? "{}").epoch)

const liveGenerationOf = (rows: ReadonlyArray<LogRow>, what: string) => {
  const specs = new Map<unknown, { readonly chunker: string; readonly model: string }>()
  let live: unknown
  for (const row of rows) {
    const type = row.type.toString("utf8")
    const { generation, spec } = dataOf(row)
    if (type === "GenerationOpened")
      specs.set(generation, spec as { readonly chunker: string; readonly model: string })
    if (type === "GenerationPromoted") live = generation
  }
  const pair = specs.get(live)
  assert.isDefined(pair, `${what}: no generation is live`)
  return { generation: String(live), pair: pair ?? { chunker: "", model: "" } }
}

/** Inputs whose vectors were recorded, by model. */
export const ledgerOf = (rows: ReadonlyArray<LogRow>): ReadonlyMap<string, number> => {
  const paid = new Map<string, number>()
  for (const row of rows) {
    if (row.type.toString("utf8") !== "VectorsRecorded") continue
    const { model, count } = dataOf(row)
    paid.set(String(model), (paid.get(String(model)) ?? 0) + Number(count))
  }
  return paid
}

/** How many vectors of each model are stored. */
export const vectorsIn = (path: string): ReadonlyMap<string, number> => {
  const file = new Sqlite(path, { readonly: true })
  try {
    const counted = file
      .prepare<[], { model: string; vectors: number }>(
        "SELECT models.model, count(*) AS vectors FROM vectors JOIN models ON models.id = vectors.model GROUP BY 1"
      )
      .all()
    return new Map(counted.map(({ model, vectors }) => [model, vectors]))
  } finally {
    file.close()
  }
}

const dump = (file: Sqlite.Database): string =>
  readModelTables.map((table) => `${table}\n${[...tableRows(file, table)].join("\n")}`).join("\n")

/** Rebuilt in a copy. */
const readModelsOf = (log: string): { readonly inline: string; readonly rebuilt: string } => {
  const folder = mkdtempSync(join(tmpdir(), "reprise-rebuild-"))
  try {
    for (const end of ["", "-wal"]) {
      if (existsSync(`${log}${end}`)) copyFileSync(`${log}${end}`, join(folder, `log.sqlite${end}`))
    }
    const file = new Sqlite(join(folder, "log.sqlite"))
    try {
      const inline = dump(file)
      rebuildReadModels(file, [...foldedEvents(file, 0, Number.MAX_SAFE_INTEGER)])
      return { inline, rebuilt: dump(file) }
    } finally {
      file.close()
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
