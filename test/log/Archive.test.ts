import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import SqliteDatabase from "better-sqlite3"
import { Effect } from "effect"
import { sha256 } from "../../events/index.ts"
import { armed, Failpoints, type FailpointsService } from "../../src/faults/Failpoints.ts"
import * as Archive from "../../src/log/Archive.ts"
import { DirectoryInvalid } from "../../src/log/DirectoryFormat.ts"
import { chainHash, genesis } from "../../src/log/HashChain.ts"
import { LogBehindIndex, LogLocked } from "../../src/log/Log.ts"
import {
  ArchiveMissing,
  ArchiveRefused,
  ArchiveUnwritable,
  RewrittenMeanwhile,
  TargetNotEmpty
} from "../../src/log/LogArchive.ts"
import { exportLines } from "../../src/log/LogExport.ts"
import { openSnapshot } from "../../src/log/SqliteSnapshot.ts"
import {
  appendOf,
  blobOf,
  documentNamed,
  model,
  openTestWriter,
  requestOf,
  submitted
} from "../support/logEvents.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { wholeDocument } from "../support/wholeDocument.ts"

const filled = Effect.gen(function* () {
  const directory = join(yield* temporaryDirectory, "data")
  const { close, core } = openTestWriter(directory)
  for (let n = 0; n < 5; n++) core.writeGroup([wholeDocument(`document-${n}`, n)])
  const { head } = core
  close()
  return { directory, head }
})

/** Changes one row of a closed database as a person with `sqlite3` would. */
const edit = (directory: string, file: string, sql: string): void => {
  const db = new SqliteDatabase(join(directory, file))
  db.exec(sql)
  db.close()
}

const kinds = (report: {
  readonly damages: ReadonlyArray<{ readonly kind: string; readonly where: string }>
}) => report.damages.map(({ kind, where }) => `${kind} ${where}`)

describe("log verify", () => {
  it.scopedLive("finds a whole log in order", () =>
    Effect.gen(function* () {
      const { directory, head } = yield* filled
      const report = yield* Archive.verify(directory)
      assert.deepStrictEqual(report, {
        position: 10,
        hash: head.hash,
        events: 10,
        blobs: 30,
        vectors: 10,
        damaged: 0,
        damages: []
      })
    })
  )

  const edits = [
    ["a changed type", "UPDATE events SET type = 'DocumentRemoved' WHERE position = 3", "event 3"],
    [
      "changed data",
      "UPDATE events SET data = replace(data, 'submit', 'submiT') WHERE position = 5",
      "event 5"
    ],
    ["a changed time", "UPDATE events SET recorded_at = recorded_at + 1 WHERE position = 7", "event 7"],
    ["a changed hash", "UPDATE events SET hash = zeroblob(32) WHERE position = 2", "event 2"],
    ["a column of another type", "UPDATE events SET data = x'00ff' WHERE position = 4", "event 4"],
    ["an event that is gone", "DELETE FROM events WHERE position = 6", "event 6"],
    ["an edited read model", "UPDATE documents SET live_chunks = 99", "read model documents"]
  ] as const
  for (const [what, sql, where] of edits) {
    it.scopedLive(`D9: names ${what}`, () =>
      Effect.gen(function* () {
        const { directory } = yield* filled
        edit(directory, "log.sqlite", sql)
        assert.include(kinds(yield* Archive.verify(directory)), where)
      })
    )
  }

  it.scopedLive("D9: names a change in the last event", () =>
    Effect.gen(function* () {
      const { directory, head } = yield* filled
      edit(
        directory,
        "log.sqlite",
        `UPDATE events SET recorded_at = recorded_at + 1 WHERE position = ${head.position}`
      )
      assert.deepStrictEqual(kinds(yield* Archive.verify(directory)), [`event ${head.position}`])
    })
  )

  it.scopedLive("D9: names a damaged body and a damaged vector, and neither is served", () =>
    Effect.gen(function* () {
      const { directory } = yield* filled
      const body = blobOf("document-1 1")
      const input = sha256("input 2 of document-3")
      edit(
        directory,
        "content.sqlite",
        `UPDATE blobs SET bytes = zeroblob(length(bytes)) WHERE digest = x'${body.digest}';
         UPDATE vectors SET vector = zeroblob(8) WHERE input = x'${input}'`
      )
      const report = yield* Archive.verify(directory)
      assert.includeMembers(kinds(report), [`blob ${body.digest}`, `vector ${input}`])
      const snapshot = openSnapshot(directory)
      assert.throws(() => snapshot.blob("default", "default", body.digest), /does not match its digest/)
      assert.throws(() => snapshot.vectors("default", "default", model, [input]), /does not match its digest/)
      snapshot.close()
    })
  )

  it.scopedLive("names a live document whose content is gone", () =>
    Effect.gen(function* () {
      const { directory } = yield* filled
      edit(
        directory,
        "content.sqlite",
        `DELETE FROM vectors WHERE input = x'${sha256("input 1 of document-2")}'`
      )
      assert.deepStrictEqual(kinds(yield* Archive.verify(directory)), [
        `missing ${documentNamed("document-2")}`
      ])
    })
  )

  for (const [file, stored] of [
    ["content.sqlite", (directory: string) => contentOf(directory)],
    ["log.sqlite", (directory: string) => eventsOf(directory)]
  ] as const) {
    it.scopedLive(`D9: a flipped byte anywhere in ${file} is named, or changes nothing that counts`, () =>
      Effect.gen(function* () {
        const { directory } = yield* filled
        const original = readFileSync(join(directory, file))
        const whole = stored(directory)
        const used = [...original.keys()].filter((at) => at >= 100 && original[at] !== 0)
        let named = 0
        for (let n = 0; n < 40; n++) {
          const at = used[Math.floor(((n + 0.5) / 40) * used.length)] ?? 0
          const copy = join(directory, "..", `flipped-${n}`)
          cpSync(directory, copy, { recursive: true })
          const bytes = Buffer.from(original)
          bytes[at] = (bytes[at] ?? 0) ^ 0x10
          writeFileSync(join(copy, file), bytes)
          const report = yield* Effect.option(Archive.verify(copy))
          if (report._tag === "None" || report.value.damaged > 0) named += 1
          else assert.strictEqual(stored(copy), whole, `byte ${at} was flipped unnoticed`)
        }
        assert.isAbove(named, 20)
      })
    )
  }

  it.scopedLive("D8: names the witness that has seen a later head", () =>
    Effect.gen(function* () {
      const { directory } = yield* filled
      edit(directory, "log.sqlite", "DELETE FROM events WHERE position > 8")
      assert.include(kinds(yield* Archive.verify(directory)), "witness head file")
    })
  )
})

/** All that is stored as content, as text. */
const contentOf = (directory: string): string => {
  const db = new SqliteDatabase(join(directory, "content.sqlite"), { readonly: true })
  try {
    return JSON.stringify([
      db
        .prepare("SELECT project, hex(digest), encoding, size, hex(bytes) FROM blobs ORDER BY rowid")
        .raw()
        .all(),
      db
        .prepare("SELECT project, model, hex(input), hex(digest), hex(vector) FROM vectors ORDER BY rowid")
        .raw()
        .all()
    ])
  } finally {
    db.close()
  }
}

const eventsOf = (directory: string): string => {
  const db = new SqliteDatabase(join(directory, "log.sqlite"), { readonly: true })
  try {
    return JSON.stringify(db.prepare("SELECT *, hex(hash) FROM events ORDER BY position").raw().all())
  } finally {
    db.close()
  }
}

const exported = Effect.gen(function* () {
  const { directory, head } = yield* filled
  const file = join(directory, "..", "archive.ndjson")
  yield* Archive.exportTo(directory, file)
  return { directory, head, file, imported: join(directory, "..", "imported") }
})

describe("log export and import", () => {
  it.scopedLive("carry events, hashes and content over, and the copy goes on where the log ended", () =>
    Effect.gen(function* () {
      const { directory, file, head, imported } = yield* exported
      const report = yield* Archive.importFrom(file, imported)
      assert.deepStrictEqual(report, {
        position: head.position,
        hash: head.hash,
        events: 10,
        blobs: 30,
        vectors: 10,
        alreadyThere: false
      })
      assert.strictEqual(eventsOf(imported), eventsOf(directory))
      assert.strictEqual((yield* Archive.verify(imported)).damaged, 0)
      const { close, core } = openTestWriter(imported)
      core.writeGroup([wholeDocument("next", 9)])
      assert.strictEqual(core.head.position, 12)
      close()
      assert.strictEqual((yield* Archive.verify(imported)).damaged, 0)
    })
  )

  it.scopedLive("O6: importing twice changes nothing", () =>
    Effect.gen(function* () {
      const { file, imported } = yield* exported
      yield* Archive.importFrom(file, imported)
      const before = eventsOf(imported)
      assert.isTrue((yield* Archive.importFrom(file, imported)).alreadyThere)
      assert.strictEqual(eventsOf(imported), before)
    })
  )

  it.scopedLive("O6: import into another log is refused and leaves it as it was", () =>
    Effect.gen(function* () {
      const { file } = yield* exported
      const other = join(yield* temporaryDirectory, "other")
      const { close, core } = openTestWriter(other)
      core.writeGroup([requestOf([appendOf("own", "own", [submitted("own")])])])
      close()
      const before = eventsOf(other)
      assert.instanceOf(yield* Effect.flip(Archive.importFrom(file, other)), TargetNotEmpty)
      assert.strictEqual(eventsOf(other), before)
    })
  )

  const spoiled: ReadonlyArray<readonly [string, (lines: Array<string>) => ReadonlyArray<string>, number]> = [
    ["cut", (lines) => lines.slice(0, 20), 21],
    ["cut within a line", (lines) => [...lines.slice(0, 5), lines[5]?.slice(0, 40) ?? ""], 6],
    ["without an event", (lines) => lines.filter((_, at) => at !== 4), 5],
    ["with two events exchanged", (lines) => exchange(lines, 3, 4), 4],
    ["with two bodies exchanged", (lines) => exchange(lines, 12, 13), 52],
    [
      "with an edited event",
      (lines) =>
        lines.map((line, at) =>
          (at === 6 ? line.replace("submit-", "submiT-") : line).replace(
            "whole-document-2",
            "whole-document-9"
          )
        ),
      6
    ],
    [
      "with an edited body",
      (lines) =>
        lines.map((line, at) => (at === 15 ? line.replace(/"bytes":"...../, '"bytes":"AAAAA') : line)),
      16
    ],
    [
      "with an edited vector",
      (lines) =>
        lines.map((line, at) => (at === 45 ? line.replace(/"vector":"..../, '"vector":"AAAA') : line)),
      52
    ],
    [
      "with a vector that is not finite",
      (lines) =>
        lines.map((line, at) => (at === 45 ? line.replace(/"vector":"[^"]*"/, '"vector":"AADAfw=="') : line)),
      46
    ],
    [
      "of a log whose id is a path",
      (lines) => lines.map((line) => line.replace(/"logId":"[^"]*"/, '"logId":"../../log"')),
      1
    ],
    [
      "of an epoch that nobody reaches",
      (lines) => lines.map((line) => line.replace('"epoch":1', '"epoch":9000000000000000')),
      1
    ],
    [
      "with a body of a team that is a path",
      (lines) =>
        lines.map((line, at) => (at === 15 ? line.replace(/"team":"[^"]*"/, '"team":"../../team"') : line)),
      16
    ],
    ["with a line after its end", (lines) => [...lines, lines[3] ?? ""], 53],
    ["that is something else", () => ["hello"], 1]
  ]
  for (const [what, spoil, line] of spoiled) {
    it.scopedLive(`O6: an archive ${what} is refused with the line, and nothing is imported`, () =>
      Effect.gen(function* () {
        const { file, imported } = yield* exported
        const lines = readFileSync(file, "utf8").trimEnd().split("\n")
        writeFileSync(file, `${spoil(lines).join("\n")}\n`)
        const refusal = yield* Effect.flip(Archive.importFrom(file, imported))
        assert.instanceOf(refusal, ArchiveRefused)
        assert.strictEqual(refusal.line, line, refusal.detail)
        assert.notIncludeMembers(readdirSync(imported), ["log.sqlite", "content.sqlite", "import.part"])
      })
    )
  }

  for (const [what, spoil] of [
    ["an id", (event: ArchivedEvent, earlier: ArchivedEvent) => ({ ...event, id: earlier.id })],
    [
      "a place in its stream",
      (event: ArchivedEvent, earlier: ArchivedEvent) => ({
        ...event,
        stream: earlier.stream,
        version: earlier.version
      })
    ]
  ] as const)
    it.scopedLive(
      `O6: an archive with ${what} used twice is refused with the line, not blamed on the disk`,
      () =>
        Effect.gen(function* () {
          const { file, imported } = yield* exported
          const lines = readFileSync(file, "utf8").trimEnd().split("\n")
          writeFileSync(file, resealed(lines, 5, spoil))
          const refusal = yield* Effect.flip(Archive.importFrom(file, imported))
          assert.instanceOf(refusal, ArchiveRefused)
          assert.strictEqual(refusal.line, 6)
          assert.include(refusal.detail, "the event at position 5 has the id of an earlier one, or its place")
          assert.notIncludeMembers(readdirSync(imported), ["log.sqlite", "content.sqlite", "import.part"])
        })
    )

  it.scopedLive(
    "an archive that is not there, or is a directory, is named, and no data directory is made",
    () =>
      Effect.gen(function* () {
        const folder = yield* temporaryDirectory
        const imported = join(folder, "imported")
        for (const [file, why] of [
          [join(folder, "none.ndjson"), "does not exist"],
          [folder, "is a directory"]
        ] as const) {
          const missing = yield* Effect.flip(Archive.importFrom(file, imported))
          assert.instanceOf(missing, ArchiveMissing)
          assert.include(missing.message, `${file} ${why}`)
        }
        assert.isFalse(existsSync(imported))
      })
  )

  it.scopedLive("an export to a place that cannot take it names the place and why, and leaves nothing", () =>
    Effect.gen(function* () {
      const { directory, file } = yield* exported
      const before = readdirSync(dirname(file))
      for (const [target, why] of [
        [join(dirname(file), "none", "log.ndjson"), "its folder does not exist"],
        [join(file, "log.ndjson"), "what should be its folder is a file"],
        [directory, "it is a directory"],
        [join(dirname(file), "n".repeat(300)), "the name is too long"]
      ] as const) {
        const refusal = yield* Effect.flip(Archive.exportTo(directory, target))
        assert.instanceOf(refusal, ArchiveUnwritable)
        assert.include(refusal.message, `${target}: ${why}`)
      }
      assert.deepStrictEqual(readdirSync(dirname(file)), before)
    })
  )

  it.scopedLive("an erasure beside an export is noticed: no archive lacks rows that were numbered anew", () =>
    Effect.gen(function* () {
      const { directory } = yield* filled
      const parts = exportLines(directory, armed(""))
      let part = parts.next()
      while (part.done !== true && !part.value.startsWith(`{"kind":"blob"`)) part = parts.next()
      for (let blobs = 1; blobs < 15; blobs++) parts.next()
      edit(directory, "content.sqlite", "DELETE FROM blobs WHERE rowid < 20; VACUUM")
      assert.throws(() => [...parts], RewrittenMeanwhile)
    })
  )

  it.scopedLive("an erasure beside a verification is noticed, and is no damage", () =>
    Effect.gen(function* () {
      const { directory } = yield* filled
      const verified = yield* Effect.either(
        Archive.verify(directory, ({ step }) =>
          Effect.sync(() => {
            if (step === "blobs") edit(directory, "content.sqlite", "DELETE FROM vectors; VACUUM")
          })
        )
      )
      assert.instanceOf(verified._tag === "Left" && verified.left, RewrittenMeanwhile)
    })
  )

  it.scopedLive("an export that fails leaves a former archive as it was", () =>
    Effect.gen(function* () {
      const { directory, file } = yield* exported
      const before = readFileSync(file, "utf8")
      yield* Effect.flip(
        Effect.provideService(Archive.exportTo(directory, file), Failpoints, armed("export.part:3:throw"))
      )
      assert.strictEqual(readFileSync(file, "utf8"), before)
      assert.isFalse(existsSync(`${file}.part`))
    })
  )

  it.scopedLive("an import that fails can be run again", () =>
    Effect.gen(function* () {
      const { file, imported } = yield* exported
      yield* Effect.flip(
        Effect.provideService(Archive.importFrom(file, imported), Failpoints, armed("import.batch:1:throw"))
      )
      assert.isFalse((yield* Archive.importFrom(file, imported)).alreadyThere)
    })
  )
})

describe("a copy that is put in place", () => {
  /** What a process that was killed left, of which somebody deleted the databases alone. */
  const killed = (home: string) =>
    Effect.sync(() => {
      const living = join(home, "living")
      const { close, core } = openTestWriter(living)
      core.writeGroup([wholeDocument("former", 0)])
      cpSync(living, join(home, "killed"), { recursive: true })
      close()
      for (const name of ["log.sqlite", "content.sqlite"]) rmSync(join(home, "killed", name))
      assert.includeMembers(readdirSync(join(home, "killed")), ["log.sqlite-wal", "content.sqlite-wal"])
      return join(home, "killed")
    })

  for (const how of ["restored", "imported"] as const)
    it.scopedLive(`is ${how} beside the write-ahead log of a former one, which it takes nothing of`, () =>
      Effect.gen(function* () {
        const { directory, file } = yield* exported
        const home = join(directory, "..")
        const backup = join(home, "backup")
        yield* Archive.backup(directory, backup)
        const place = yield* killed(home)
        yield* how === "restored" ? Archive.restore(backup, place) : Archive.importFrom(file, place)
        assert.deepStrictEqual((yield* Archive.verify(place)).damages, [])
        assert.strictEqual(eventsOf(place), eventsOf(directory))
        assert.strictEqual(contentOf(place), contentOf(directory))
        openTestWriter(place).close()
      })
    )

  for (const how of ["restored", "imported"] as const)
    it.scopedLive(`O3: is ${how} beside a head file that has seen more of it, which stays a witness`, () =>
      Effect.gen(function* () {
        const { directory, file } = yield* exported
        const backup = join(directory, "..", "backup")
        yield* Archive.backup(directory, backup)
        const { close, core } = openTestWriter(directory)
        core.writeGroup([wholeDocument("lost", 9)])
        close()
        for (const name of ["log.sqlite", "content.sqlite"]) rmSync(join(directory, name))
        yield* how === "restored" ? Archive.restore(backup, directory) : Archive.importFrom(file, directory)
        const refusal = yield* Effect.flip(
          Effect.try({ try: () => openTestWriter(directory), catch: (cause) => cause })
        )
        assert.instanceOf(refusal, LogBehindIndex)
        const accepted = openTestWriter(directory, { acceptRollback: true })
        assert.strictEqual(accepted.core.head.epoch, 2)
        accepted.close()
      })
    )

  it.scopedLive(
    "is not put where content stands without its log, whatever a former restore left beside it",
    () =>
      Effect.gen(function* () {
        const { directory } = yield* filled
        const backup = join(directory, "..", "backup")
        yield* Archive.backup(directory, backup)
        const before = contentOf(directory)
        // As one that was killed when the log had its place already.
        mkdirSync(join(directory, "restore.part"))
        rmSync(join(directory, "log.sqlite"))
        assert.instanceOf(yield* Effect.flip(Archive.restore(backup, directory)), TargetNotEmpty)
        assert.strictEqual(contentOf(directory), before)
      })
  )

  it.scopedLive("is refused where not all of it could be moved into the files that take their place", () =>
    Effect.gen(function* () {
      const { directory, file, imported } = yield* exported
      let reader: SqliteDatabase.Database | undefined
      const reading: FailpointsService = {
        hit: (name) => {
          if (name !== "import.batch") return
          reader = new SqliteDatabase(join(imported, "import.part", "log.sqlite"), { readonly: true })
          reader.exec("BEGIN; SELECT count(*) FROM events")
        }
      }
      const refusal = yield* Effect.flip(
        Effect.provideService(Archive.importFrom(file, imported), Failpoints, reading)
      )
      assert.include(refusal.message, "is being read by another program")
      assert.isFalse(existsSync(join(imported, "log.sqlite")))
      reader?.close()
      yield* Archive.importFrom(file, imported)
      assert.strictEqual(eventsOf(imported), eventsOf(directory))
    })
  )
})

interface ArchivedEvent {
  readonly position: number
  readonly id: string
  readonly stream: string
  readonly version: number
  readonly type: string
  readonly schemaVersion: number
  readonly team: string
  readonly project: string
  readonly sequence: number
  readonly data: unknown
  readonly metadata: unknown
  readonly recordedAt: number
}

/** The archive with its event at `at` spoilt by the one before, and everything that would give it away made anew. */
const resealed = (
  lines: ReadonlyArray<string>,
  at: number,
  spoil: (event: ArchivedEvent, earlier: ArchivedEvent) => ArchivedEvent
): string => {
  const parsed = lines.map((line) => JSON.parse(line))
  parsed[at] = spoil(parsed[at], parsed[at - 1])
  let previous: Buffer = genesis
  for (const line of parsed.filter(({ kind }) => kind === "event")) {
    previous = chainHash(previous, {
      ...line,
      data: JSON.stringify(line.data),
      metadata: JSON.stringify(line.metadata)
    })
    line.hash = previous.toString("hex")
  }
  parsed[0].hash = previous.toString("hex")
  const body = parsed.slice(0, -1).map((line) => `${JSON.stringify(line)}\n`)
  const end = { ...parsed.at(-1), digest: sha256(body.join("")) }
  return `${body.join("")}${JSON.stringify(end)}\n`
}

const exchange = (lines: ReadonlyArray<string>, one: number, other: number): ReadonlyArray<string> =>
  lines.map((line, at) => (at === one ? lines[other] : at === other ? lines[one] : line) ?? "")

describe("log backup and restore", () => {
  it.scopedLive("D14: copies a log while it is written, and the copy verifies and opens", () =>
    Effect.gen(function* () {
      const { directory } = yield* filled
      const target = join(directory, "..", "backup")
      const { close, core } = openTestWriter(directory)
      const load = yield* Effect.fork(
        Effect.forEach(
          Array.from({ length: 40 }, (_, n) => n),
          (n) =>
            Effect.zipRight(
              Effect.sync(() => core.writeGroup([wholeDocument(`load-${n}`, n)])),
              Effect.sleep(1)
            ),
          { discard: true }
        )
      )
      const report = yield* Archive.backup(directory, target)
      yield* load.await
      close()
      assert.isAtLeast(report.position, 10)
      assert.sameMembers(readdirSync(target), ["log.sqlite", "content.sqlite", "format", "head"])
      const restored = join(directory, "..", "restored")
      assert.strictEqual((yield* Archive.restore(target, restored)).hash, report.hash)
      openTestWriter(restored).close()
      assert.strictEqual((yield* Archive.verify(restored)).damaged, 0)
    })
  )

  it.scopedLive("D14: a backup that fails at backup.rename.after is whole, and restored as it is", () =>
    Effect.gen(function* () {
      const { directory } = yield* filled
      const target = join(directory, "..", "backup")
      yield* Effect.flip(
        Effect.provideService(
          Archive.backup(directory, target),
          Failpoints,
          armed("backup.rename.after:1:throw")
        )
      )
      const restored = join(directory, "..", "restored")
      yield* Archive.restore(target, restored)
      assert.strictEqual((yield* Archive.verify(restored)).damaged, 0)
      assert.isFalse(existsSync(`${target}.part`))
    })
  )

  it.scopedLive.runIf(existsSync("/proc"))("refuses a place where the system makes no folders", () =>
    Effect.gen(function* () {
      const { directory } = yield* filled
      const refusal = yield* Effect.flip(Archive.backup(directory, "/proc/none/of/these"))
      assert.instanceOf(refusal, DirectoryInvalid)
      assert.include(refusal.message, "'/proc/none'")
    })
  )

  for (const failpoint of ["backup.copy", "backup.verify", "backup.rename.before"]) {
    it.scopedLive(
      `D14: a backup that fails at ${failpoint} leaves no target, and a former one as it was`,
      () =>
        Effect.gen(function* () {
          const { directory } = yield* filled
          const former = join(directory, "..", "former")
          yield* Archive.backup(directory, former)
          const before = readFileSync(join(former, "log.sqlite"))
          const target = join(directory, "..", "backup")
          yield* Effect.flip(
            Effect.provideService(
              Archive.backup(directory, target),
              Failpoints,
              armed(`${failpoint}:1:throw`)
            )
          )
          assert.isFalse(existsSync(target) || existsSync(`${target}.part`))
          assert.instanceOf(yield* Effect.flip(Archive.backup(directory, former)), TargetNotEmpty)
          assert.deepStrictEqual(readFileSync(join(former, "log.sqlite")), before)
        })
    )
  }

  it.scopedLive("D14: damage in the source is found before the backup counts", () =>
    Effect.gen(function* () {
      const { directory } = yield* filled
      edit(directory, "log.sqlite", "UPDATE events SET recorded_at = 0 WHERE position = 3")
      const target = join(directory, "..", "backup")
      const refusal = yield* Effect.flip(Archive.backup(directory, target))
      assert.include(refusal.message, "event 3")
      assert.isFalse(existsSync(target))
    })
  )

  it.scopedLive("O5: restoring onto a running server is refused by its lock", () =>
    Effect.gen(function* () {
      const { directory } = yield* filled
      const target = join(directory, "..", "backup")
      yield* Archive.backup(directory, target)
      const { close } = openTestWriter(directory)
      assert.instanceOf(yield* Effect.flip(Archive.restore(target, directory)), LogLocked)
      close()
      assert.instanceOf(yield* Effect.flip(Archive.restore(target, directory)), TargetNotEmpty)
    })
  )

  it.scopedLive("restores into a directory that holds settings, but no log", () =>
    Effect.gen(function* () {
      const { directory, head } = yield* filled
      const target = join(directory, "..", "backup")
      yield* Archive.backup(directory, target)
      const fresh = join(directory, "..", "fresh")
      mkdirSync(fresh)
      writeFileSync(join(fresh, "reprise.json"), "{}")
      assert.strictEqual((yield* Archive.restore(target, fresh)).hash, head.hash)
      assert.strictEqual(readFileSync(join(fresh, "reprise.json"), "utf8"), "{}")
    })
  )
})
