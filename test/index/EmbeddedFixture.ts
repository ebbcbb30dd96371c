/** A directory for an embedded engine, and a hand in its files. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import Sqlite from "better-sqlite3"
import { Effect, type Scope } from "effect"
import type { ProjectScope } from "../../events/Ids.ts"
import { type FailpointsService, inert } from "../../src/faults/Failpoints.ts"
import { generationFolder, make } from "../../src/index/EmbeddedIndex.ts"
import type { EngineError, EngineGeneration, GenerationRef, Point } from "../../src/index/Index.ts"
import { here, mark, newGeneration } from "../conformance/index.ts"

export const temporaryDirectory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "reprise-index-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)

export class Embedded {
  readonly directory: string
  readonly ref: GenerationRef

  static readonly make = (dimensions?: number): Effect.Effect<Embedded, never, Scope.Scope> =>
    Effect.map(temporaryDirectory, (directory) => new Embedded(directory, newGeneration(dimensions)))

  private constructor(directory: string, ref: GenerationRef) {
    this.directory = directory
    this.ref = ref
  }

  get folder(): string {
    return generationFolder(this.directory, this.ref)
  }

  open(
    failpoints: FailpointsService = inert,
    memoryMiB = 16
  ): Effect.Effect<EngineGeneration, EngineError, Scope.Scope> {
    return make({ directory: this.directory, memoryMiB }, failpoints).open(this.ref)
  }

  openReadOnly(
    memoryMiB = 16,
    scansTogether = false
  ): Effect.Effect<EngineGeneration, EngineError, Scope.Scope> {
    return make({ directory: this.directory, memoryMiB, scansTogether }, inert).openReadOnly(this.ref)
  }

  /** Opens, inserts, marks and closes. */
  fill(points: ReadonlyArray<Point>, at = 1): Effect.Effect<void, EngineError> {
    return Effect.scoped(
      Effect.gen(this, function* () {
        const index = yield* this.open()
        yield* index.insert(points)
        yield* mark(index, at)
      })
    )
  }

  file(scope: ProjectScope = here): string {
    return join(this.folder, `${scope.team}.${scope.project}.sqlite`)
  }

  get files(): ReadonlyArray<string> {
    return readdirSync(this.folder).sort()
  }

  /** Changes a project's file as somebody with the `sqlite3` command would. */
  byHand(sql: string, ...parameters: ReadonlyArray<unknown>): number {
    const connection = new Sqlite(this.file())
    try {
      return connection.prepare(sql).run(...parameters).changes
    } finally {
      connection.close()
    }
  }
}
