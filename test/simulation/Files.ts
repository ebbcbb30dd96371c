/**
 * What must hold of the files at any moment, as second readers read them: after each death, before anybody has opened and
 * mended them, and at rest. An index that heals itself hides what was wrong with it.
 */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import Sqlite from "better-sqlite3"
import {
  generationFolder,
  generationsIn,
  markerIn,
  pointsIn,
  projectFiles,
  readIndex,
  type StoredPoint
} from "../model/IndexFile.ts"
import {
  eventsIn,
  faultsOfLog,
  type LogFault,
  type LogRow,
  liveVersionsAt,
  type SeenHead
} from "../model/LogFile.ts"
import type { Sent } from "./Commands.ts"

/** The bytes of a directory in which nothing happens meanwhile: each file is read once, however much is asked of it. */
export class Still {
  readonly directory: string
  readonly #points = new Map<string, ReadonlyArray<StoredPoint>>()
  #rows: ReadonlyArray<LogRow> | undefined
  #faults: ReadonlyArray<LogFault> | undefined

  constructor(directory: string) {
    this.directory = directory
  }

  get rows(): ReadonlyArray<LogRow> {
    this.#rows ??= eventsIn(join(this.directory, "log.sqlite"))
    return this.#rows
  }

  /** The witness of the head beside the log, where there is one. */
  get witness(): SeenHead | undefined {
    const head = join(this.directory, "head")
    return existsSync(head) ? JSON.parse(readFileSync(head, "utf8")) : undefined
  }

  /** What is wrong with the log: chain, positions, versions, sequences, witness. */
  get faults(): ReadonlyArray<LogFault> {
    const { witness } = this
    this.#faults ??= faultsOfLog(this.rows, witness === undefined ? [] : [witness])
    return this.#faults
  }

  /** The digests of all stored bodies, each behind its project's name. */
  get bodies(): ReadonlySet<string> {
    const file = new Sqlite(join(this.directory, "content.sqlite"), { readonly: true, timeout: 2000 })
    try {
      const rows = file
        .prepare<[], { project: string; digest: Buffer }>(
          "SELECT projects.project, digest FROM blobs JOIN projects ON projects.id = blobs.project"
        )
        .all()
      return new Set(rows.map(({ digest, project }) => `${project} ${digest.toString("hex")}`))
    } finally {
      file.close()
    }
  }

  /** Of a project's file. */
  readonly points = (path: string): ReadonlyArray<StoredPoint> => {
    const known = this.#points.get(path) ?? pointsIn(path)
    this.#points.set(path, known)
    return known
  }
}

/** The promise that the files break, if any. `isWhole`: nobody has deleted a part of the index. */
export const breachOf = (still: Still, sent: ReadonlyArray<Sent>, isWhole: boolean): string | undefined => {
  const { witness } = still
  const answered = sent.flatMap(({ answer, command }) =>
    answer?.outcome === "accepted" ? [{ answer, command }] : []
  )
  if (witness === undefined) return answered.length === 0 ? undefined : "I1: the head's witness is gone"
  const { faults, rows } = still
  if (faults.length > 0) return `I1: the log is not sound: ${JSON.stringify(faults)}`
  for (const { answer, command } of answered) {
    if (dataOf(rows[answer.position - 1])["commandId"] !== command.commandId)
      return `I2: ${command.commandId} was acknowledged at ${answer.position}, where another event stands`
    if (witness.position < answer.position)
      return `I1: the head's witness stands at ${witness.position}, and ${answer.position} was acknowledged`
  }
  return isWhole ? breachOfIndex(still) : undefined
}

const breachOfIndex = (still: Still): string | undefined => {
  const { directory, rows } = still
  const index = join(directory, "index")
  const generations = rows.flatMap((row) =>
    row.type.toString("utf8") === "GenerationOpened" ? [dataOf(row)] : []
  )
  const retired = new Set(
    rows.flatMap((row) =>
      row.type.toString("utf8") === "GenerationRetired" ? [String(dataOf(row)["generation"])] : []
    )
  )
  const promoted = new Set(
    rows.flatMap((row) =>
      row.type.toString("utf8") === "GenerationPromoted" ? [String(dataOf(row)["generation"])] : []
    )
  )
  for (const { generation, spec } of generations) {
    const name = String(generation)
    const state = join(directory, "state", `${name}-e1.sqlite`)
    if (retired.has(name) || !existsSync(state) || !generationsIn(index).includes(`${name}-e1`)) continue
    const kept = readState(state)
    if (kept.checkpoint === 0) continue
    const folder = generationFolder(index, name)
    const marker = markerIn(folder)
    if (marker === undefined || marker.checkpoint < kept.checkpoint)
      return `I7: the engine of ${name} stands at ${marker?.checkpoint}, its state at ${kept.checkpoint}`
    if (marker.checkpoint > rows.length) return `I7: ${name} stands at ${marker.checkpoint}, beyond the log`
    const broken = breachOfPoints(still, folder, kept, spec, promoted.has(name))
    if (broken !== undefined) return `${broken} (${name} at ${kept.checkpoint})`
  }
  return undefined
}

/**
 * The points that the state's checkpoint shows: those of the naive fold, counted as the state counts them. A generation that
 * is being built may lack documents.
 */
const breachOfPoints = (
  { points, rows }: Still,
  folder: string,
  { checkpoint, tokens }: State,
  spec: unknown,
  isWhole: boolean
): string | undefined => {
  const read = readIndex(folder, checkpoint, points)
  if (read.faults.length > 0) return `I6: the index holds what it must not: ${JSON.stringify(read.faults)}`
  const found = [...read.projects].flatMap(([project, { documents }]) =>
    [...documents].map(([document, chunks]) => `${document} ${project} ${chunks.size}`)
  )
  const live = liveVersionsAt(rows, checkpoint, spec as { readonly chunker: string; readonly model: string })
  const expected = [...live].flatMap(([document, { chunks, scope }]) =>
    chunks === undefined && !isWhole ? [] : [`${document} ${scope} ${chunks}`]
  )
  if (found.sort().join() !== expected.sort().join())
    return `I5: found ${JSON.stringify(found)}, expected ${JSON.stringify(expected)}`
  const counted = frequenciesIn(points, folder, checkpoint)
  return counted.join() === tokens.join()
    ? undefined
    : `I5: the words of living chunks are counted as ${tokens.length} with ${sumOf(tokens)}, and are ${counted.length} with ${sumOf(counted)}`
}

interface State {
  readonly checkpoint: number
  /** `team/project token frequency`, sorted. */
  readonly tokens: ReadonlyArray<string>
}

const readState = (path: string): State => {
  const file = new Sqlite(path, { readonly: true, fileMustExist: true, timeout: 2000 })
  try {
    const row = file.prepare<[], { value: number }>("SELECT value FROM meta WHERE key = 'checkpoint'").get()
    const tokens = file
      .prepare<[], { scope: string; token: number; id: number; frequencies: Buffer }>(
        "SELECT team || '/' || project AS scope, token, tokens.id, frequencies FROM tokens JOIN scopes ON scopes.id = scope JOIN token_frequencies ON block = tokens.id / 256"
      )
      .all()
      .map(({ frequencies, id, scope, token }) => ({
        named: `${scope} ${token >>> 0}`,
        frequency: frequencies.readInt32LE(4 * (id % 256))
      }))
      .filter(({ frequency }) => frequency !== 0)
      .map(({ frequency, named }) => `${named} ${frequency}`)
    return { checkpoint: Number(row?.value ?? 0), tokens: tokens.sort() }
  } finally {
    file.close()
  }
}

const frequenciesIn = (points: Still["points"], folder: string, at: number): ReadonlyArray<string> => {
  const counts = new Map<string, number>()
  for (const [scope, path] of projectFiles(folder)) {
    for (const { from, sparse, until } of points(path)) {
      if (at < from || until <= at) continue
      for (let offset = 0; offset < sparse.length; offset += 8) {
        const key = `${scope} ${sparse.readUInt32LE(offset)}`
        counts.set(key, (counts.get(key) ?? 0) + 1)
      }
    }
  }
  return [...counts].map(([key, count]) => `${key} ${count}`).sort()
}

const sumOf = (tokens: ReadonlyArray<string>): number =>
  tokens.reduce((sum, token) => sum + Number(token.split(" ")[2]), 0)

const dataOf = (row: LogRow | undefined): Readonly<Record<string, unknown>> =>
  row === undefined ? {} : JSON.parse(row.data.toString("utf8"))
