/**
 * D7, D8, D9: a write-ahead log that ends anywhere, and single bits that changed, in every file of a data directory. What
 * is damaged is said, or it changes nothing that anybody can read: none is silent.
 *
 * `REPRISE_BITS`: how many bits, `REPRISE_SEED`: the first seed. `REPRISE_FAULTS=all`: cut at every frame.
 */
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setImmediate as breathe } from "node:timers/promises"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Either, Schema } from "effect"
import * as Archive from "../../src/log/Archive.ts"
import { LogBehindIndex } from "../../src/log/Log.ts"
import { OpeningRefused } from "../../src/log/LogOpening.ts"
import { filesIn } from "../../src/runtime/DataDirectory.ts"
import * as OpenReading from "../../src/runtime/OpenReading.ts"
import { Reader } from "../../src/runtime/Reprise.ts"
import { Settings } from "../../src/runtime/Settings.ts"
import { generationsIn, readIndex } from "../model/IndexFile.ts"
import { eventsIn, faultsOfLog } from "../model/LogFile.ts"
import { bundleChild, runChild } from "../support/bundledChild.ts"
import { reportCount } from "../support/figures.ts"
import { openTestWriter } from "../support/logEvents.ts"
import { randomOf } from "../support/random.ts"
import { runTask } from "../support/runtimeTask.ts"
import { contentIn, missingContent } from "./powercut/LogJudge.ts"

const bits = Number(process.env["REPRISE_BITS"] ?? 100)
const firstSeed = Number(process.env["REPRISE_SEED"] ?? 1)
const thorough = process.env["REPRISE_FAULTS"] === "all"
const room = existsSync("/dev/shm") ? "/dev/shm" : tmpdir()

let folder = ""
beforeAll(() => {
  folder = mkdtempSync(join(room, "reprise-bits-"))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const settings = { files: { jobs: 1 }, embedding: { dimensions: 16 } } as const

/** Runs `use` over a copy. */
const copied = <A>(base: string, use: (directory: string) => A): A => {
  const copy = join(folder, "copy")
  cpSync(base, copy, { recursive: true, filter: (path) => !path.endsWith("-shm") })
  try {
    return use(copy)
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

/** What the log and its content say; the name of the error where they cannot be read. */
const readingOf = (directory: string): string => {
  try {
    const rows = eventsIn(join(directory, "log.sqlite"))
    return JSON.stringify([rows.map(({ hash }) => hash.toString("hex")), contentIn(directory)])
  } catch (cause) {
    return String(cause)
  }
}

const opens = (directory: string): OpeningRefused | undefined => {
  try {
    openTestWriter(directory).close()
    return undefined
  } catch (cause) {
    if (Schema.is(OpeningRefused)(cause)) return cause
    throw cause
  }
}

/** Whether content that events name is not there, or cannot be read. */
const isMissingSome = (directory: string): boolean => {
  try {
    return missingContent(directory, eventsIn(join(directory, "log.sqlite"))).length > 0
  } catch {
    return true
  }
}

/** Whether the product names a damage of log or content, or fails to read them. */
const isNamed = (directory: string): boolean => {
  const verified = Effect.runSync(Effect.either(Archive.verify(directory)))
  return Either.isLeft(verified) || verified.right.damaged > 0
}

/** Flips a bit of a file: anywhere, or every other time where something is written, since most of small files is empty. */
const flip = (path: string, random: () => number): string => {
  const file = openSync(path, "r+")
  try {
    const { size } = statSync(path)
    const byte = Buffer.alloc(1)
    const isAnywhere = random() < 0.5
    let at = 0
    do {
      at = Math.floor(random() * size)
      readSync(file, byte, 0, 1, at)
    } while (!isAnywhere && byte[0] === 0)
    const bit = Math.floor(random() * 8)
    byte[0] = (byte[0] ?? 0) ^ (1 << bit)
    writeSync(file, byte, 0, 1, at)
    return `bit ${bit} of byte ${at}`
  } finally {
    closeSync(file)
  }
}

describe("a log whose last commits stand in its write-ahead log", () => {
  let base = ""
  let whole = ""
  beforeAll(async () => {
    base = join(folder, "log")
    const end = await runChild(await bundleChild("appendingChild"), [
      base,
      "log.append.after:5:kill",
      "6",
      "0"
    ])
    assert.strictEqual(end.signal, "SIGKILL", end.errors)
    for (const name of ["log.sqlite-wal", "content.sqlite-wal"]) assert.isTrue(existsSync(join(base, name)))
    whole = readingOf(base)
  })

  it("D7: cut anywhere ends at a whole commit, and is refused where its head was seen", async () => {
    const size = statSync(join(base, "log.sqlite-wal")).size
    const frame = 24 + 4096
    const frames = Math.floor((size - 32) / frame)
    const step = thorough ? 1 : Math.max(1, Math.floor(frames / 12))
    const cuts = [0, 31]
    for (let at = 0; at <= frames; at += step)
      cuts.push(...[-1, 0, 1, 24, 2000].map((by) => 32 + at * frame + by))
    const rows = eventsIn(join(base, "log.sqlite"))
    const possible = cuts.filter((cut) => cut >= 0 && cut < size)
    for (const cut of possible) {
      copied(base, (directory) => {
        truncateSync(join(directory, "log.sqlite-wal"), cut)
        const left = eventsIn(join(directory, "log.sqlite"))
        assert.deepStrictEqual(faultsOfLog(left), [], `cut at ${cut}`)
        assert.deepStrictEqual(left, rows.slice(0, left.length), `cut at ${cut}`)
        const refused = opens(directory)
        if (left.length < rows.length) assert.instanceOf(refused, LogBehindIndex, `cut at ${cut}`)
        else assert.isUndefined(refused, `cut at ${cut}`)
        // Without a witness it goes on from there.
        rmSync(join(directory, "head"))
        assert.isUndefined(opens(directory), `cut at ${cut}, no witness`)
      })
      await breathe()
    }
    reportCount({ figure: "write-ahead logs cut", count: possible.length })
  }, 3_600_000)

  it("D7: a write-ahead log of the content that is cut shows in what verify names", () => {
    const { size } = statSync(join(base, "content.sqlite-wal"))
    for (const share of [0, 0.2, 0.4, 0.6, 0.8, 0.99]) {
      copied(base, (directory) => {
        truncateSync(join(directory, "content.sqlite-wal"), Math.floor(size * share))
        assert.strictEqual(isNamed(directory), isMissingSome(directory), `cut to ${share}`)
      })
    }
  })

  it("D8, D9: no flipped bit in log, content and their write-ahead logs is silent", async () => {
    const random = randomOf(firstSeed)
    const files = ["log.sqlite-wal", "log.sqlite", "content.sqlite-wal", "content.sqlite"]
    const count = Math.ceil(bits * 0.8)
    let noticed = 0
    for (let n = 0; n < count; n++) {
      copied(base, (directory) => {
        const name = files[n % files.length] ?? ""
        const what = `seed ${firstSeed}, ${n}: ${flip(join(directory, name), random)} of ${name}`
        if (isNamed(directory) || opens(directory) !== undefined) noticed++
        else assert.strictEqual(readingOf(directory), whole, `${what} is silent`)
      })
      await breathe()
    }
    assert.isAbove(noticed, count / 10)
    reportCount({
      figure: "flipped bits",
      count,
      of: { noticed, harmless: count - noticed },
      seed: firstSeed
    })
  }, 3_600_000)
})

describe("an index", () => {
  let base = ""
  const text = (data: string) => {
    const index = join(data, "index")
    const [generation = ""] = generationsIn(index)
    const { faults, fingerprint } = readIndex(join(index, generation), Number.MAX_SAFE_INTEGER - 1)
    return JSON.stringify([fingerprint, faults])
  }
  beforeAll(async () => {
    const root = join(folder, "root")
    base = join(folder, "whole")
    mkdirSync(root)
    for (const name of ["tide", "harbour", "rope"])
      writeFileSync(
        join(root, `${name}.md`),
        `# ${name}\n\nOf the ${name} and what one does with it at sea.\n`
      )
    const end = await runTask(await bundleChild("runtimeChild"), {
      data: base,
      settings,
      failpoints: "",
      acts: [{ act: "add", root }]
    })
    assert.isTrue(end.done, end.account)
  })

  it("D9: no flipped bit is silent: verify says it, or nothing that is found changes", async () => {
    const random = randomOf(firstSeed)
    const [generation = ""] = generationsIn(join(base, "index"))
    const files = [
      `index/${generation}/default.default.sqlite`,
      `index/${generation}/default.default.sqlite`,
      `index/${generation}/generation.sqlite`,
      `state/${generation}.sqlite`
    ]
    const whole = text(base)
    const count = Math.floor(bits * 0.2)
    let noticed = 0
    for (let n = 0; n < count; n++) {
      const directory = join(folder, `flipped-${n}`)
      cpSync(base, directory, { recursive: true })
      const name = files[n % files.length] ?? ""
      const what = `seed ${firstSeed}, ${n}: ${flip(join(directory, name), random)} of ${name}`
      const verified = await Effect.runPromise(
        Effect.gen(function* () {
          const reader = yield* Reader
          return yield* reader.verify({ level: "full", recompute: true })
        }).pipe(
          Effect.provide(
            OpenReading.layer({
              configuration: {
                settings: Schema.decodeSync(Settings)(settings),
                directory: { path: directory, origin: "flag", files: filesIn(directory, join) }
              },
              embeds: false
            })
          ),
          Effect.scoped,
          Effect.either
        )
      )
      if (Either.isLeft(verified) || !verified.right.clean) noticed++
      else assert.strictEqual(text(directory), whole, `${what} is silent`)
      rmSync(directory, { recursive: true, force: true })
      await breathe()
    }
    reportCount({
      figure: "flipped bits",
      count,
      of: { noticed, harmless: count - noticed },
      seed: firstSeed
    })
  }, 3_600_000)
})
