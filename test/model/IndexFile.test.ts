/**
 * The second reader agrees with the engine that wrote, and notices what was changed behind its back.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { Effect, FastCheck as fc } from "effect"
import { ProjectName, scopeKey, TeamName } from "../../events/Ids.ts"
import { inert } from "../../src/faults/Failpoints.ts"
import { generationFolder as folderOfEngine, make } from "../../src/index/EmbeddedIndex.ts"
import {
  Buckets,
  denseBytes,
  digestBytes,
  leaf,
  overallFingerprint,
  sparseBytes,
  uuidBytes
} from "../../src/index/Fingerprint.ts"
import { forever, type GenerationRef, type Point } from "../../src/index/Index.ts"
import { mark, newGeneration, point } from "../conformance/index.ts"
import { generationFolder, generationsIn, markerIn, pointsIn, projectFiles, readIndex } from "./IndexFile.ts"

const scopes = ["one", "two"].map((project) => ({
  team: TeamName.make("team"),
  project: ProjectName.make(project)
}))

/** Points of two projects, none of whose chunks is visible twice at any position. */
const pointsArbitrary = fc
  .uniqueArray(
    fc.record({
      chunk: fc.integer({ min: 0, max: 40 }),
      seed: fc.integer({ min: 0, max: 9 }),
      from: fc.integer({ min: 1, max: 20 }),
      lives: fc.option(fc.integer({ min: 1, max: 10 })),
      scope: fc.constantFrom(...scopes)
    }),
    { maxLength: 40, selector: ({ chunk }) => chunk }
  )
  .map((all) =>
    all.map(({ chunk, seed, from, lives, scope }) =>
      point({ chunk, seed, from, scope, until: lives === null ? forever : from + lives })
    )
  )

describe("the second reader", () => {
  it.effect("reproduces the fingerprint of what the engine wrote, at every position", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(pointsArbitrary, fc.integer({ min: 0, max: 31 }), (points, at) =>
          written(points, (directory, ref) => {
            assert.strictEqual(folderOfEngine(directory, ref), generationFolder(directory, ref.generation))
            const reading = readIndex(generationFolder(directory, ref.generation), at)
            assert.deepStrictEqual(reading.faults, [])
            assert.strictEqual(reading.fingerprint, fingerprintOf(points, at))
            assert.strictEqual(
              [...reading.projects.values()].reduce((sum, { chunks }) => sum + chunks, 0),
              visible(points, at).length
            )
          })
        ),
        { seed: 5, numRuns: 25 }
      )
    )
  )

  it("finds generations and their marker", () =>
    written([point({ from: 1 })], (directory, ref) => {
      assert.deepStrictEqual(generationsIn(directory), [`${ref.generation}-e1`])
      const marker = markerIn(generationFolder(directory, ref.generation))
      assert.deepStrictEqual(marker, { logId: ref.logId, epoch: 1, checkpoint: 31, horizon: 0 })
    }))

  const columns = [
    "payload",
    "dense",
    "sparse",
    "chunk_id",
    "document_id",
    "from_position",
    "until_position",
    "id"
  ]
  for (const column of columns) {
    it(`notices a changed ${column}`, () =>
      written([point({ chunk: 1, from: 3 }), point({ chunk: 2, from: 3 })], (directory, ref) => {
        const folder = generationFolder(directory, ref.generation)
        const before = readIndex(folder, 9)
        assert.deepStrictEqual(before.faults, [])
        for (const path of projectFiles(folder).values()) damage(path, column)
        const after = readIndex(folder, 9)
        assert.isTrue(after.fingerprint !== before.fingerprint || after.faults.length > 0)
      }))
  }

  it("notices two versions of a chunk that are visible at once", () =>
    written([point({ from: 2 }), point({ from: 5 })], (directory, ref) => {
      const { faults } = readIndex(generationFolder(directory, ref.generation), 9)
      assert.isTrue(faults.some((fault) => fault.includes("visible twice")))
    }))

  it("reads rows that nobody sees any more, too", () =>
    written([point({ from: 2, until: 4 })], (directory, ref) => {
      const [path] = projectFiles(generationFolder(directory, ref.generation)).values()
      assert.strictEqual(pointsIn(path ?? "").length, 1)
      assert.strictEqual(readIndex(generationFolder(directory, ref.generation), 9).projects.size, 0)
    }))
})

/** Writes points with the engine of `src/`, then lets `look` see the directory. */
function written(
  points: ReadonlyArray<Point>,
  look: (directory: string, ref: GenerationRef) => void
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "reprise-second-reader-"))
  const ref = newGeneration()
  const program = Effect.scoped(
    Effect.gen(function* () {
      const index = yield* make({ directory }, inert).open(ref)
      yield* index.insert(points.map((one) => ({ ...one, until: forever })))
      yield* index.end(points.filter(({ until }) => until !== forever))
      yield* mark(index, 31)
      look(directory, ref)
    })
  )
  return Effect.runPromise(
    Effect.ensuring(
      program,
      Effect.sync(() => rmSync(directory, { recursive: true }))
    )
  )
}

/** Changes a column of the first row: a bit of a blob, a digit or letter of a text, a number by one. */
function damage(path: string, column: string): void {
  const file = new Sqlite(path)
  try {
    const value = file.prepare(`SELECT ${column} FROM points ORDER BY ordinal`).pluck().get()
    const changed =
      typeof value === "number"
        ? column === "until_position"
          ? 4
          : value + 1
        : typeof value === "string"
          ? value.replace(/[0-9a-f](?=[^0-9a-f]*$)/, (last) => (last === "0" ? "1" : "0"))
          : Buffer.isBuffer(value)
            ? Buffer.from([(value[0] ?? 0) ^ 1, ...value.subarray(1)])
            : value
    assert.notDeepEqual(changed, value)
    file
      .prepare(`UPDATE points SET ${column} = ? WHERE ordinal = (SELECT min(ordinal) FROM points)`)
      .run(changed)
  } finally {
    file.close()
  }
}

function visible(points: ReadonlyArray<Point>, at: number): ReadonlyArray<Point> {
  return points.filter(({ from, until }) => from <= at && at < until)
}

/** What the product's own hashing makes of the same points. */
function fingerprintOf(points: ReadonlyArray<Point>, at: number): string {
  return overallFingerprint(
    scopes.map((scope) => {
      const buckets = new Buckets()
      for (const { chunkId, payload, sparse, dense, scope: owner } of visible(points, at)) {
        if (scopeKey(owner) !== scopeKey(scope)) continue
        const id = uuidBytes(chunkId)
        const parts = [
          digestBytes(payload),
          digestBytes(sparseBytes(sparse)),
          digestBytes(denseBytes(dense))
        ] as const
        buckets.of(id).add(leaf(id, ...parts))
      }
      return { key: scopeKey(scope), buckets }
    })
  )
}
