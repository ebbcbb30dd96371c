/**
 * How long does a server take to be ready where there is nothing to do? A data directory with 1,000,000 events, its read
 * models and its index caught up, is made once (or given: a real one serves as well), and `reprise serve` is started on it
 * again and again: from the start of the process to the line that says that commands are taken, and until it answers
 * that it is ready, its index at the log's head.
 *
 *   node scripts/bench.js startup [--events 1000000] [--rounds 5] [--documents 500] [--directory <kept>] [--short]
 *
 * The documents are pushed and changed through the whole product first; what they left is then repeated as their further
 * versions until there are events enough, and the index folds all of it. Prints a table beside an empty directory and
 * `node -e 0`, and, as the last line, JSON. Exits 1 where the median is above a second (`--short`: 10,000 events, three
 * seconds, or twice an empty directory's where the machine is busy).
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import Sqlite from "better-sqlite3"
import { Array as Arrays, Effect, Either, Logger, LogLevel, Schema } from "effect"
import {
  DocumentChunked,
  DocumentCommitted,
  DocumentSubmitted,
  DocumentVersion,
  decodeEvent,
  defaultScope,
  documentStream,
  type Event
} from "../events/index.ts"
import { type Append, Log } from "../src/log/Log.ts"
import { fileNames } from "../src/log/LogDatabase.ts"
import * as SqliteLog from "../src/log/SqliteLog.ts"
import { filesIn } from "../src/runtime/DataDirectory.ts"
import * as Embedded from "../src/runtime/Embedded.ts"
import { Push } from "../src/runtime/Push.ts"
import { Reader, Status, Writer } from "../src/runtime/Reprise.ts"
import { Settings } from "../src/runtime/Settings.ts"

const { values } = parseArgs({
  options: {
    events: { type: "string" },
    rounds: { type: "string", default: "5" },
    documents: { type: "string", default: "500" },
    directory: { type: "string" },
    short: { type: "boolean", default: false }
  },
  allowPositionals: true
})
const events = Number(values.events ?? (values.short ? 10_000 : 1_000_000))
const documents = values.short ? 50 : Number(values.documents)
const rounds = values.short ? 3 : Number(values.rounds)
const appendsAWrite = 500

const opened = (directory: string) =>
  Embedded.layer({
    configuration: {
      settings: Schema.decodeSync(Settings)({}),
      directory: { path: directory, origin: "flag", files: filesIn(directory, join) }
    },
    command: "bench"
  })

const textOf = (id: number, version: number): string =>
  `# Note ${id}\n\n${Array.from({ length: 60 }, (_, at) => `w${((id * 7919 + version * 104_729 + at * 31) % 5000).toString(36)}`).join(" ")}.\n`

/** Two versions of each, through the whole product. */
const pushed = (directory: string) =>
  Effect.gen(function* () {
    const { push } = yield* Push
    const { settled } = yield* Writer
    for (const version of [1, 2]) {
      yield* Effect.forEach(
        Array.from({ length: documents }, (_, id) => id),
        (id) => push({ id: String(id), text: textOf(id, version) }, { scope: defaultScope, source: "bench" }),
        { concurrency: 16, discard: true }
      )
      yield* settled
    }
  }).pipe(Effect.provide(opened(directory)), Effect.scoped)

/** The events of each document's first two versions, as they stand in the log. */
const remembered = (directory: string): ReadonlyArray<ReadonlyArray<Event>> => {
  const db = new Sqlite(join(directory, fileNames.log), { readonly: true })
  const rows = db
    .prepare<[], { stream: string; type: string; schema_version: number; data: string }>(
      "SELECT stream, type, schema_version, data FROM events WHERE stream LIKE 'document-%' ORDER BY stream, version"
    )
    .all()
  db.close()
  return Object.values(Arrays.groupBy(rows, ({ stream }) => stream)).map((stream) =>
    stream.map(({ data, schema_version, type }) =>
      Either.getOrThrow(decodeEvent(type, schema_version, JSON.parse(data)))
    )
  )
}

/** The same event of a later version. */
const again = (event: Event, version: number): Event | undefined => {
  const later = { version: DocumentVersion.make(version) }
  switch (event._tag) {
    case "DocumentSubmitted":
      return new DocumentSubmitted({ ...event, ...later, commandId: `again-${version}` })
    case "DocumentChunked":
      return new DocumentChunked({ ...event, ...later })
    case "DocumentCommitted":
      return new DocumentCommitted({ ...event, ...later })
    default:
      return undefined
  }
}

const repeated = (directory: string) =>
  Effect.gen(function* () {
    const log = yield* Log
    const all = remembered(directory)
    let { position } = yield* log.head
    for (let version = 3; position < events; version++) {
      const appends = all.flatMap((known): ReadonlyArray<Append> => {
        const former = known.flatMap((event) =>
          "version" in event && event.version % 2 === version % 2 ? [again(event, version)] : []
        )
        const [first] = known
        if (first === undefined || !("documentId" in first)) return []
        const stream = documentStream(first.documentId)
        const cause = `${stream}-${version}`
        return [
          {
            ...defaultScope,
            cause,
            actor: "bench",
            correlationId: cause,
            events: former.flatMap((event) => (event === undefined ? [] : [{ stream, event }]))
          }
        ]
      })
      for (let at = 0; at < appends.length; at += appendsAWrite)
        yield* log.write({ appends: appends.slice(at, at + appendsAWrite) })
      position = (yield* log.head).position
    }
  }).pipe(Effect.provide(SqliteLog.layer({ directory })), Effect.scoped)

const isWhole = ({ generations }: typeof Status.Type): boolean =>
  generations.some(({ lag, problem, state }) => state === "live" && lag === 0 && problem === undefined)

/** Until the index stands at the log's head. */
const caughtUp = (directory: string) =>
  Effect.gen(function* () {
    const { settled } = yield* Writer
    yield* settled
    const status = yield* Effect.flatMap(Reader, (reader) => reader.status())
    const { log } = status
    if (!isWhole(status) || log.headPosition < events)
      return yield* Effect.dieMessage(`It is not whole: ${JSON.stringify(status)}`)
    return log.headPosition
  }).pipe(Effect.provide(opened(directory)), Effect.scoped)

const making = (directory: string) =>
  Effect.gen(function* () {
    const kept = existsSync(join(directory, fileNames.log))
    if (!kept) {
      yield* pushed(directory)
      yield* repeated(directory)
    }
    const position = yield* caughtUp(directory)
    return position
  })

interface Start {
  readonly lineMs: number
  readonly readyMs: number
}

const cli = join(process.cwd(), ".cache", "bench", `startup-${process.pid}`)

/** Numbers from the start of the process. */
const started = async (directory: string, whole: boolean): Promise<Start> => {
  const start = performance.now()
  const server = spawn(
    process.execPath,
    [join(cli, "bin", "reprise.js"), "serve", "--json", "--port", "0", "--data-dir", directory],
    { stdio: ["ignore", "pipe", "inherit"] }
  )
  try {
    const { http } = await firstLine(server)
    const lineMs = performance.now() - start
    while (!(await isReady(http, whole))) await new Promise((next) => setImmediate(next))
    const readyMs = performance.now() - start
    return { lineMs, readyMs }
  } finally {
    server.kill("SIGTERM")
    await new Promise((ended) => server.once("exit", ended))
  }
}

const isReady = async (http: string, whole: boolean): Promise<boolean> => {
  if ((await fetch(`${http}/readyz`)).status !== 200) return false
  return !whole || isWhole(Schema.decodeUnknownSync(Status)(await (await fetch(`${http}/v1/status`)).json()))
}

const firstLine = (server: ChildProcess): Promise<{ readonly http: string }> =>
  new Promise((resolve, reject) => {
    let out = ""
    server.stdout?.on("data", (chunk: Buffer) => {
      out += chunk.toString()
      if (out.includes("\n")) resolve(JSON.parse(out.slice(0, out.indexOf("\n"))))
    })
    server.once("exit", (code) => reject(new Error(`serve ended with ${code}.`)))
  })

const median = (numbers: ReadonlyArray<number>): number =>
  Math.round(numbers.toSorted((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? Number.NaN)

const bareNode = (): number => {
  const start = performance.now()
  spawnSync(process.execPath, ["-e", "0"])
  return performance.now() - start
}

const folder = mkdtempSync(join(tmpdir(), "reprise-startup-"))
try {
  spawnSync(process.execPath, [join("scripts", "build.js"), "--bundles", cli], { stdio: "inherit" })
  const directory = values.directory ?? join(folder, "data")
  const before = performance.now()
  const head = await Effect.runPromise(
    making(directory).pipe(Effect.provide(Logger.minimumLogLevel(LogLevel.Error)))
  )
  process.stdout.write(`${head} events, made in ${Math.round((performance.now() - before) / 1000)} s\n`)
  const runs = { whole: [] as Start[], empty: [] as Start[], bare: [] as number[] }
  for (let round = 0; round < rounds; round++) {
    runs.whole.push(await started(directory, true))
    runs.empty.push(await started(join(folder, `empty-${round}`), false))
    runs.bare.push(bareNode())
  }
  const result = {
    events: head,
    lineMs: median(runs.whole.map(({ lineMs }) => lineMs)),
    readyMs: median(runs.whole.map(({ readyMs }) => readyMs)),
    emptyReadyMs: median(runs.empty.map(({ readyMs }) => readyMs)),
    bareNodeMs: median(runs.bare)
  }
  const boundMs = values.short ? Math.max(3000, 2 * result.emptyReadyMs) : 1000
  const holds = result.readyMs <= boundMs
  const slowest = Math.round(Math.max(...runs.whole.map(({ readyMs }) => readyMs)))
  process.stdout.write(`ready                 ${result.readyMs} ms (<= ${boundMs})${holds ? "" : " MISSED"}, at worst ${slowest}
its line alone        ${result.lineMs} ms
an empty directory    ${result.emptyReadyMs} ms
node -e 0             ${result.bareNodeMs} ms
`)
  process.stdout.write(`${JSON.stringify({ bench: "startup", holds, ...result })}\n`)
  if (!holds) process.exitCode = 1
} finally {
  for (const made of [folder, cli]) rmSync(made, { recursive: true, force: true })
}
