import { execFileSync } from "node:child_process"
import {
  appendFileSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync
} from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Chunk, Effect, Layer, Stream } from "effect"
import { canonicalJson } from "../../events/Canonical.ts"
import { sha256 } from "../../events/Ids.ts"
import type { FilesSettings } from "../../events/Source.ts"
import { type FileCalls, nodeCalls } from "../../src/sources/FileCalls.ts"
import { layer as filesReader } from "../../src/sources/FilesReader.ts"
import type { FilesLimits } from "../../src/sources/FilesScan.ts"
import { type FileStat, FileTree } from "../../src/sources/FileTree.ts"
import { layerInThread, layer as nodeFileTree } from "../../src/sources/NodeFileTree.ts"
import { ofText, type RawPath, toText } from "../../src/sources/RawPath.ts"
import {
  type ItemBytes,
  type ItemUnreadable,
  type OpenSource,
  type Scanned,
  SourceReader
} from "../../src/sources/SourceReader.ts"
import { type Faults, faultyTree, rawPath, settingsOf, temporaryRoot, write } from "./Trees.ts"

const reader = (limits: Partial<FilesLimits> = {}, faults?: Faults) =>
  filesReader(limits).pipe(Layer.provide(faults === undefined ? nodeFileTree : faultyTree(faults)))

const scan = (
  settings: FilesSettings,
  options: { readonly limits?: Partial<FilesLimits>; readonly faults?: Faults; readonly only?: string[] } = {}
) =>
  Effect.gen(function* () {
    const source = yield* (yield* SourceReader).open(settings)
    return Chunk.toReadonlyArray(yield* Stream.runCollect(source.scan(options.only?.map(rawPath))))
  }).pipe(Effect.provide(reader(options.limits, options.faults)))

const readOne = (source: OpenSource, path: RawPath): Effect.Effect<ItemBytes, ItemUnreadable> =>
  Effect.flatMap(source.read([path]), ([item]) => item ?? Effect.dieMessage("nothing was answered"))

const read = (settings: FilesSettings, path: string, faults?: Faults, limits: Partial<FilesLimits> = {}) =>
  Effect.gen(function* () {
    const source = yield* (yield* SourceReader).open(settings)
    const items = Chunk.toReadonlyArray(yield* Stream.runCollect(source.scan()))
    const item = items.find((one) => one.path === rawPath(path))
    assert.strictEqual(item?._tag, "Item")
    return yield* readOne(source, rawPath(path))
  }).pipe(Effect.provide(reader(limits, faults)))

const items = (scanned: ReadonlyArray<Scanned>) =>
  scanned.filter(({ _tag }) => _tag === "Item").map(({ path }) => toText(path))

const excluded = (scanned: ReadonlyArray<Scanned>) =>
  scanned.flatMap((one) => (one._tag === "Excluded" ? [`${one.why} ${toText(one.path)}`] : []))

const unreadable = (scanned: ReadonlyArray<Scanned>) =>
  scanned.flatMap((one) =>
    one._tag === "Unreadable" ? [`${one.reason.code} ${toText(one.path)}${one.broken ? " broken" : ""}`] : []
  )

describe("the scan of a files source", () => {
  it.scopedLive("comes in the bytewise order of whole paths", () =>
    Effect.gen(function* () {
      const root = yield* temporaryRoot
      yield* write(root, {
        "a/b.md": "1",
        "a.md": "2",
        a0: "3",
        "a-": "4",
        "a/b/c": "5",
        "B.md": "6",
        "ä.md": "7"
      })
      const paths = items(yield* scan(settingsOf(root)))
      const sorted = [...paths].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      assert.deepStrictEqual(paths, sorted)
      assert.strictEqual(paths.length, 7)
    })
  )

  it.scopedLive("leaves out repositories' data, rule files and Reprise's own data, wherever they lie", () =>
    Effect.gen(function* () {
      const root = yield* temporaryRoot
      yield* write(root, {
        "a.md": "a",
        ".git/config": "x",
        "sub/.git": "gitdir: elsewhere",
        ".reprise/log.sqlite": "x",
        "data/log.sqlite": "x",
        "data/content.sqlite": "x",
        ".gitignore": "",
        ".repriseignore": "",
        ".github/notes.md": "b"
      })
      const scanned = yield* scan(settingsOf(root))
      assert.deepStrictEqual(items(scanned), [".github/notes.md", "a.md"])
      assert.include(excluded(scanned), "internal data/")
    })
  )

  it.scopedLive("takes what the globs name, and does not look where they cannot lead", () =>
    Effect.gen(function* () {
      const root = yield* temporaryRoot
      yield* write(root, {
        "a.md": "",
        "b.txt": "",
        "docs/c.md": "",
        "docs/deep/d.md": "",
        "src/e.ts": "",
        "src/f.md": ""
      })
      assert.deepStrictEqual(items(yield* scan(settingsOf(root, { include: ["**/*.md"] }))), [
        "a.md",
        "docs/c.md",
        "docs/deep/d.md",
        "src/f.md"
      ])
      assert.deepStrictEqual(
        items(yield* scan(settingsOf(root, { include: ["docs"], exclude: ["**/deep"] }))),
        ["docs/c.md"]
      )
      const faults: Faults = { list: (path) => (path.endsWith("/src") ? "EACCES" : undefined) }
      const pruned = yield* scan(settingsOf(root, { include: ["docs/*.md"] }), { faults })
      assert.deepStrictEqual(unreadable(pruned), [])
      assert.deepStrictEqual(items(pruned), ["docs/c.md"])
    })
  )

  it.scopedLive(
    "F4: takes what is special in a regular expression for letters of names, as a shell does",
    () =>
      Effect.gen(function* () {
        const root = yield* temporaryRoot
        yield* write(root, { "(a)/c.md": "", "a/c.md": "", "b+/c.md": "", "bb/c.md": "", "d|e/c.md": "" })
        const taken = (...include: ReadonlyArray<string>) =>
          Effect.map(scan(settingsOf(root, { include })), items)
        assert.deepStrictEqual(yield* taken("(a)/*"), ["(a)/c.md"])
        assert.deepStrictEqual(yield* taken("{a,b}+/*", "d|?/*"), ["b+/c.md", "d|e/c.md"])
        assert.deepStrictEqual(yield* taken("[!ab(]*/*"), ["d|e/c.md"])
        yield* write(root, { [`${"a".repeat(60)}c`]: "" })
        assert.deepStrictEqual(yield* taken("(a+)+[b]", "{a,aa}+[b]"), [])
        const refused = yield* Effect.flip(taken(`${"{a,aa}".repeat(40)}[b]`))
        assert.strictEqual(refused.code, "PatternRefused")
      })
  )

  it.scopedLive(
    "S1: fails where its root goes away, or another one is mounted, before all was examined",
    () =>
      Effect.gen(function* () {
        const root = yield* temporaryRoot
        yield* write(root, { "a.md": "", "b.md": "" })
        const outcome = (after: (stat: FileStat) => FileStat) => {
          let looks = 0
          const calls: FileCalls = {
            ...nodeCalls,
            examine: (path) => {
              const stat = nodeCalls.examine(path)
              return looks++ > 0 && toText(path) === root ? after(stat) : stat
            }
          }
          return Effect.flatMap(SourceReader, (reader) => reader.open(settingsOf(root))).pipe(
            Effect.flatMap((source) => Stream.runCount(source.scan())),
            Effect.catchTag("SourceUnreadable", ({ code }) => Effect.succeed(code)),
            Effect.provide(Layer.provide(filesReader(), layerInThread(calls)))
          )
        }
        const gone = (): FileStat => {
          throw Object.assign(new Error(), { code: "ENOENT" })
        }
        assert.strictEqual(yield* outcome((stat) => stat), 2)
        assert.strictEqual(yield* outcome(gone), "RootMissing")
        assert.strictEqual(yield* outcome((stat) => ({ ...stat, device: stat.device + 1n })), "RootReplaced")
      })
  )

  it.scopedLive("follows no symbolic link, neither out of the root nor in a circle", () =>
    Effect.gen(function* () {
      const root = yield* temporaryRoot
      const outside = yield* temporaryRoot
      yield* write(outside, { "secret.md": "secret" })
      yield* write(root, { "a.md": "a" })
      symlinkSync(join(outside, "secret.md"), join(root, "link.md"))
      symlinkSync(outside, join(root, "linked"))
      symlinkSync(root, join(root, "circle"))
      const scanned = yield* scan(settingsOf(root))
      assert.deepStrictEqual(items(scanned), ["a.md"])
      assert.deepStrictEqual(excluded(scanned), ["link circle", "link link.md", "link linked"])
    })
  )

  it.scopedLive("F2: meets pipes and sockets without opening them", () =>
    Effect.gen(function* () {
      const root = yield* temporaryRoot
      execFileSync("mkfifo", [join(root, "pipe.md")])
      const server = createServer().listen(join(root, "socket.md"))
      yield* Effect.addFinalizer(() => Effect.sync(() => server.close()))
      yield* Effect.promise(() => new Promise((resolve) => server.once("listening", resolve)))
      assert.deepStrictEqual(excluded(yield* scan(settingsOf(root))), [
        "special pipe.md",
        "special socket.md"
      ])
    })
  )

  it.scopedLive("F3: keeps names that are no UTF-8, or differ only in their form, apart", () =>
    Effect.gen(function* () {
      const root = yield* temporaryRoot
      const names = [
        "latin1:\xff\xfe.md",
        "latin1:\xed\xa0\x80",
        "new\nline.md",
        "esc\u001b[31m.md",
        "\u202ebidi.md",
        "é.md",
        "e\u0301.md"
      ]
      yield* write(root, Object.fromEntries(names.map((name) => [name, name])))
      const scanned = yield* scan(settingsOf(root))
      assert.strictEqual(scanned.length, names.length)
      assert.sameMembers(
        scanned.map(({ path }) => path),
        names.map(rawPath)
      )
      const source = yield* Effect.flatMap(SourceReader, (_) => _.open(settingsOf(root))).pipe(
        Effect.provide(reader())
      )
      for (const { path } of scanned) {
        const { externalId, uri } = source.describe(path)
        assert.strictEqual(source.descriptor(path), sha256(canonicalJson({ ...source.describe(path) })))
        assert.isTrue(externalId.isWellFormed())
        assert.match(uri, /^file:\/\/\/[!-~]+$/)
        const { bytes } = yield* readOne(source, path)
        assert.isAbove(bytes.length, 0)
      }
      assert.strictEqual(source.describe(rawPath("latin1:\xff\xfe.md")).externalId, "\\xff\\xfe.md")
    })
  )

  it.scopedLive("reports a directory that cannot be listed at its place, and goes on", () =>
    Effect.gen(function* () {
      const root = yield* temporaryRoot
      yield* write(root, { "a/1.md": "", "b/2.md": "", "b/3.md": "", "c/4.md": "" })
      const scanned = yield* scan(settingsOf(root), {
        faults: { list: (path) => (path.endsWith("/b") ? "EACCES" : undefined) }
      })
      assert.deepStrictEqual(
        scanned.map(({ _tag, path }) => `${_tag} ${toText(path)}`),
        ["Item a/1.md", "Unreadable b/", "Item c/4.md"]
      )
      assert.deepStrictEqual(unreadable(scanned), ["EACCES b/"])
    })
  )

  it.scopedLive("S1: says that a device error in the middle proves nothing about the rest", () =>
    Effect.gen(function* () {
      const root = yield* temporaryRoot
      yield* write(root, { "a/1.md": "", "b/2.md": "", "b/3.md": "" })
      const scanned = yield* scan(settingsOf(root), {
        faults: { list: (path) => (path.endsWith("/b") ? "EIO" : undefined) }
      })
      assert.deepStrictEqual(unreadable(scanned), ["EIO b/ broken"])
    })
  )

  it.scopedLive("S1: takes nothing for no document of which nobody can tell what it is", () =>
    Effect.gen(function* () {
      const root = yield* temporaryRoot
      yield* write(root, { "a.md": "a", "sub/b.md": "b", "sub/gone.md": "c" })
      // As file systems do that do not say in a listing what an entry is.
      const calls = (code: (path: string) => string | undefined): FileCalls => ({
        ...nodeCalls,
        list: (directory) => {
          const listing = nodeCalls.list(directory)
          return { ...listing, next: () => listing.next().map(({ name }) => ({ name, kind: undefined })) }
        },
        examine: (path) => {
          const refused = code(toText(path))
          if (refused !== undefined) throw Object.assign(new Error(refused), { code: refused })
          return nodeCalls.examine(path)
        }
      })
      const scanned = (code: (path: string) => string | undefined) =>
        Effect.gen(function* () {
          const source = yield* (yield* SourceReader).open(settingsOf(root))
          return Chunk.toReadonlyArray(yield* Stream.runCollect(source.scan()))
        }).pipe(Effect.provide(Layer.provide(filesReader(), layerInThread(calls(code)))))
      const gone = yield* scanned((path) => (path.endsWith("gone.md") ? "ENOENT" : undefined))
      assert.deepStrictEqual([items(gone), excluded(gone)], [["a.md", "sub/b.md"], []])
      const failing = yield* scanned((path) => (path.endsWith("b.md") ? "EIO" : undefined))
      assert.deepStrictEqual([items(failing), unreadable(failing)], [["a.md"], ["EIO sub/ broken"]])
      assert.deepStrictEqual(excluded(failing), [])
    })
  )

  it.scopedLive("S1: fails where its root is missing, is no directory, or cannot be listed", () =>
    Effect.gen(function* () {
      const root = yield* temporaryRoot
      const missing = yield* Effect.flip(scan(settingsOf(join(root, "gone"))))
      assert.strictEqual(missing.code, "RootMissing")
      yield* write(root, { file: "" })
      const replaced = yield* Effect.flip(scan(settingsOf(join(root, "file"))))
      assert.strictEqual(replaced.code, "RootReplaced")
      const broken = yield* Effect.flip(scan(settingsOf(root), { faults: { list: () => "EIO" } }))
      assert.strictEqual(broken.code, "EIO")
    })
  )

  it.scopedLive("F4: stops at its limits of depth and of entries, and says where", () =>
    Effect.gen(function* () {
      const root = yield* temporaryRoot
      yield* write(root, { "a/b/c/d.md": "", "many/1": "", "many/2": "", "many/3": "", "z.md": "" })
      const scanned = yield* scan(settingsOf(root), { limits: { maxDepth: 2, maxEntries: 2 } }).pipe(
        Effect.flip
      )
      assert.strictEqual(scanned.code, "TooManyEntries")
      const limited = yield* scan(settingsOf(root), { limits: { maxDepth: 2 } })
      assert.deepStrictEqual(unreadable(limited), ["TooDeep a/b/c/"])
      assert.include(items(limited), "z.md")
    })
  )

  it.scopedLive("F4: walks as deep as the file system's longest path", () =>
    Effect.gen(function* () {
      const root = yield* temporaryRoot
      // 40 × 200 bytes: twice as long as any path that a system call takes.
      const way = 'cd "$0"; for i in $(seq 40); do mkdir "$1" && cd "$1" || exit 0; done'
      execFileSync("sh", ["-c", way, root, "d".repeat(200)], { stdio: "ignore" })
      const scanned = yield* scan(settingsOf(root), { limits: { maxDepth: 100_000 } })
      assert.deepStrictEqual(
        scanned.map((one) => (one._tag === "Unreadable" ? one.reason.code : one._tag)),
        ["ENAMETOOLONG"]
      )
    })
  )

  it.live("F4: passes on a directory of 200,000 entries in order and in small batches", () =>
    Effect.gen(function* () {
      const names = Array.from({ length: 200_000 }, (_, n) => ofText(`${(n * 7_919) % 200_000}.md`))
      const file = { kind: "file", size: 1, mtimeNs: 1n, ctimeNs: 1n, inode: 1n, device: 1n } as const
      const root = ofText("/many")
      let listed = 0
      const calls: FileCalls = {
        ...nodeCalls,
        resolve: (path) => path,
        examine: (path) => ({ ...file, kind: path === root ? "directory" : "file" }),
        list: () => ({
          next: () => {
            const some = names.slice(listed, listed + 1000).map((name) => ({ name, kind: "file" as const }))
            listed += some.length
            return some
          },
          close: () => {}
        })
      }
      const source = yield* Effect.flatMap(SourceReader, (_) => _.open(settingsOf("/many"))).pipe(
        Effect.provide(filesReader().pipe(Layer.provide(layerInThread(calls))))
      )
      let last = ""
      let count = 0
      yield* Stream.runForEachChunk(source.scan(), (chunk) =>
        Effect.sync(() => {
          assert.isAtMost(chunk.length, 512)
          for (const { path } of chunk) {
            assert.isTrue(path > last)
            last = path
            count += 1
          }
        })
      )
      assert.strictEqual(count, 200_000)
    })
  )

  it.live("says the same where files are so slow to answer that others examine them", () =>
    Effect.gen(function* () {
      const names = Array.from({ length: 700 }, (_, n) => ofText(`${String(n).padStart(3, "0")}.md`))
      const root = ofText("/slow")
      let slow = 0
      let isGoing = false
      let isGone = false
      const calls: FileCalls = {
        ...nodeCalls,
        resolve: (path) => path,
        examine: (path) => {
          // A first page takes more than a millisecond a file.
          if (slow++ < 512) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1.1)
          if (path.endsWith("/600.md")) throw Object.assign(new Error(), { code: "ENOENT" })
          if (path.endsWith("/601.md")) throw Object.assign(new Error(), { code: "EIO" })
          if (isGone && path === root) throw Object.assign(new Error(), { code: "ENOENT" })
          isGone ||= isGoing && path.endsWith("/699.md")
          const kind = path === root ? "directory" : path.endsWith("/602.md") ? "link" : "file"
          return { kind, size: 7, mtimeNs: BigInt(slow), ctimeNs: 1n, inode: 1n, device: 1n }
        },
        list: () => {
          const listed = [names.map((name) => ({ name, kind: "file" as const })), []]
          return { next: () => listed.shift() ?? [], close: () => {} }
        }
      }
      const tree = yield* Effect.provide(FileTree, layerInThread(calls))
      const source = yield* Effect.flatMap(SourceReader, (_) => _.open(settingsOf("/slow"))).pipe(
        Effect.provide(filesReader().pipe(Layer.provide(Layer.succeed(FileTree, tree))))
      )
      const scanned = Chunk.toReadonlyArray(yield* Stream.runCollect(source.scan()))
      assert.deepStrictEqual(
        scanned.map(({ path }) => path),
        names.filter((name) => name !== "600.md")
      )
      assert.deepStrictEqual(unreadable(scanned), ["EIO 601.md broken"])
      assert.deepStrictEqual(excluded(scanned), ["link 602.md"])
      const last = scanned.at(-1)
      assert.strictEqual(last?._tag === "Item" ? last.stamp.mtimeNs : 0n, 701n)
      slow = 0
      isGoing = true
      const failed = yield* Effect.flip(Stream.runDrain(source.scan()))
      assert.strictEqual(failed.code, "RootMissing")
    })
  )

  it.scopedLive("looks at nothing but the paths that it is asked for", () =>
    Effect.gen(function* () {
      const root = yield* temporaryRoot
      yield* write(root, { "a/1.md": "", "a/x/2.md": "", "ab/3.md": "", "b.md": "" })
      assert.deepStrictEqual(items(yield* scan(settingsOf(root), { only: ["a/x", "b.md"] })), [
        "a/x/2.md",
        "b.md"
      ])
    })
  )
})

describe("reading one file of a source", () => {
  it.scopedLive("S2: gives one consistent version of a file that is written meanwhile", () =>
    Effect.gen(function* () {
      const root = yield* temporaryRoot
      yield* write(root, { "a.md": "first version" })
      let writes = 0
      const { bytes } = yield* read(settingsOf(root), "a.md", {
        beforeRead: () => {
          if (writes === 0) writeFileSync(join(root, "a.md"), "the second version")
          writes += 1
        }
      })
      assert.strictEqual(Buffer.from(bytes).toString(), "the second version")
    })
  )

  it.scopedLive("S2: takes no half of a file that is overwritten meanwhile and keeps its size", () =>
    Effect.gen(function* () {
      const root = yield* temporaryRoot
      yield* write(root, { "a.md": "aaaa" })
      let reads = 0
      const { bytes } = yield* read(settingsOf(root), "a.md", {
        afterRead: () => {
          if (reads === 0) writeFileSync(join(root, "a.md"), "bbbb")
          reads += 1
        }
      })
      assert.strictEqual(Buffer.from(bytes).toString(), "bbbb")
    })
  )

  it.scopedLive("S2: gives up on a file that never comes to rest", () =>
    Effect.gen(function* () {
      const root = yield* temporaryRoot
      yield* write(root, { "a.md": "x" })
      const error = yield* Effect.flip(
        read(settingsOf(root), "a.md", {
          beforeRead: () => appendFileSync(join(root, "a.md"), "x")
        })
      )
      assert.strictEqual(error._tag === "ItemUnreadable" ? error.code : "", "FileChanged")
    })
  )

  it.scopedLive("S2: notices a file of the same size and times that was replaced", () =>
    Effect.gen(function* () {
      const root = yield* temporaryRoot
      yield* write(root, { "a.md": "aaaa" })
      utimesSync(join(root, "a.md"), 1_000, 1_000)
      let replaced = false
      const { bytes } = yield* read(settingsOf(root), "a.md", {
        beforeOpen: () => {
          if (replaced) return
          replaced = true
          writeFileSync(join(root, "b.md"), "bbbb")
          utimesSync(join(root, "b.md"), 1_000, 1_000)
          renameSync(join(root, "b.md"), join(root, "a.md"))
        }
      })
      assert.strictEqual(Buffer.from(bytes).toString(), "bbbb")
    })
  )

  it.scopedLive("S2: reads what took a file's place in the moment when it was opened", () =>
    Effect.gen(function* () {
      const root = yield* temporaryRoot
      yield* write(root, { "a.md": "former", "b.md": "newer" })
      let replaced = false
      const calls: FileCalls = {
        ...nodeCalls,
        stat: (file) => {
          if (!replaced) renameSync(join(root, "b.md"), join(root, "a.md"))
          replaced = true
          return nodeCalls.stat(file)
        }
      }
      const { bytes } = yield* Effect.gen(function* () {
        return yield* readOne(yield* (yield* SourceReader).open(settingsOf(root)), rawPath("a.md"))
      }).pipe(Effect.provide(Layer.provide(filesReader(), layerInThread(calls))))
      assert.strictEqual(Buffer.from(bytes).toString(), "newer")
    })
  )

  it.scopedLive("F1: refuses a file that became a link after the check", () =>
    Effect.gen(function* () {
      const root = yield* temporaryRoot
      const outside = yield* temporaryRoot
      yield* write(outside, { secret: "secret" })
      yield* write(root, { "a.md": "a" })
      const error = yield* Effect.flip(
        read(settingsOf(root), "a.md", {
          beforeOpen: () => {
            unlinkSync(join(root, "a.md"))
            symlinkSync(join(outside, "secret"), join(root, "a.md"))
          }
        })
      )
      assert.strictEqual(error._tag === "ItemUnreadable" ? error.code : "", "FileIsLink")
    })
  )

  it.scopedLive("F1: refuses a file whose directory became a link, before the check or after it", () =>
    Effect.gen(function* () {
      const root = yield* temporaryRoot
      const outside = yield* temporaryRoot
      yield* write(outside, { "a.md": "secret" })
      for (const when of ["beforeOpen", "earlier"] as const) {
        yield* write(root, { "d/a.md": "a" })
        const swap = () => {
          rmSync(join(root, "d"), { recursive: true })
          symlinkSync(outside, join(root, "d"))
        }
        const attempt = Effect.gen(function* () {
          const source = yield* (yield* SourceReader).open(settingsOf(root))
          if (when === "earlier") swap()
          return yield* readOne(source, rawPath("d/a.md"))
        })
        let swapped = false
        const faults: Faults = {
          beforeOpen: () => {
            if (when === "beforeOpen" && !swapped) swap()
            swapped = true
          }
        }
        const error = yield* Effect.flip(attempt.pipe(Effect.provide(reader({}, faults))))
        assert.strictEqual(error._tag === "ItemUnreadable" ? error.code : "", "FileElsewhere")
        unlinkSync(join(root, "d"))
      }
    })
  )

  it.scopedLive("F2: does not wait for a pipe that took a file's place", () =>
    Effect.gen(function* () {
      const root = yield* temporaryRoot
      yield* write(root, { "a.md": "a" })
      const error = yield* Effect.flip(
        read(settingsOf(root), "a.md", {
          beforeOpen: () => {
            rmSync(join(root, "a.md"))
            execFileSync("mkfifo", [join(root, "a.md")])
          }
        })
      )
      assert.strictEqual(error._tag === "ItemUnreadable" ? error.code : "", "FileNotRegular")
    })
  )

  it.scopedLive("F4: refuses a file over the limit without reading it, sparse or not", () =>
    Effect.gen(function* () {
      const root = yield* temporaryRoot
      execFileSync("truncate", ["-s", "1T", join(root, "sparse.md")])
      const error = yield* Effect.flip(read(settingsOf(root), "sparse.md"))
      assert.strictEqual(error._tag === "ItemUnreadable" ? error.code : "", "FileTooLarge")
    })
  )

  it.live("F1: takes nothing from a file that claims to be empty and is not", () =>
    Effect.gen(function* () {
      const source = yield* (yield* SourceReader).open(settingsOf("/proc/self"))
      const outcome = yield* Effect.either(readOne(source, rawPath("environ")))
      assert.isTrue(outcome._tag === "Left" || outcome.right.bytes.length === 0)
    }).pipe(Effect.provide(reader()))
  )

  it.scopedLive("names what is wrong with a file that it may not read, or that is gone", () =>
    Effect.gen(function* () {
      const root = yield* temporaryRoot
      yield* write(root, { "a.md": "a" })
      const denied = yield* Effect.flip(read(settingsOf(root), "a.md", { open: () => "EACCES" }))
      assert.strictEqual(denied.message, "It could not be read: permission denied (EACCES).")
      const gone = yield* Effect.flip(
        read(settingsOf(root), "a.md", {
          beforeOpen: () => rmSync(join(root, "a.md"), { force: true })
        })
      )
      assert.strictEqual(gone._tag === "ItemUnreadable" ? gone.code : "", "FileVanished")
      mkdirSync(join(root, "b"))
      const error = yield* Effect.flip(
        Effect.flatMap(SourceReader, (_) => _.open(settingsOf(root))).pipe(
          Effect.flatMap((source) => readOne(source, rawPath("b"))),
          Effect.provide(reader())
        )
      )
      assert.strictEqual(error._tag === "ItemUnreadable" ? error.code : "", "FileNotRegular")
    })
  )
})
