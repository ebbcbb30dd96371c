/** Bodies that were just written are at hand, and never longer than they are stored. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer } from "effect"
import { defaultScope, ProjectName, sha256 } from "../../events/Ids.ts"
import { Content } from "../../src/log/Content.ts"
import type { CollectionRules } from "../../src/log/ContentCollection.ts"
import { Log, LogFailed, type LogService } from "../../src/log/Log.ts"
import * as RecentContent from "../../src/log/RecentContent.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { logRoom } from "../support/writeSide.ts"

const bodyOf = (text: string) => {
  const bytes = new TextEncoder().encode(text)
  return { ...defaultScope, digest: sha256(bytes), bytes }
}

const rules: CollectionRules = {
  now: 0,
  keepForMs: 0,
  keepVersions: 1,
  horizon: 0,
  keptInputs: [],
  erased: new Set(),
  ended: new Set(),
  erasedSources: new Set(),
  dryRun: true
}

/** The services over a real log, and how often the store below them was asked for a body. */
const opened = (failing: () => boolean = () => false) =>
  Effect.gen(function* () {
    const directory = yield* temporaryDirectory
    let reads = 0
    const below = Layer.merge(
      Layer.effect(
        Log,
        Effect.map(Log, (log) => ({
          ...log,
          write: (batch) =>
            Effect.zipRight(
              failing() ? new LogFailed({ operation: "append", cause: "The disk is full." }) : Effect.void,
              log.write(batch)
            )
        }))
      ),
      Layer.effect(
        Content,
        Effect.map(Content, (content) => ({
          ...content,
          blob: (scope, digest) => {
            reads += 1
            return content.blob(scope, digest)
          }
        }))
      )
    ).pipe(Layer.provide(logRoom(directory)))
    const services = yield* Layer.build(RecentContent.layer.pipe(Layer.provide(below)))
    const log = yield* Effect.provide(Log, services)
    const content = yield* Effect.provide(Content, services)
    const text = (body: ReturnType<typeof bodyOf>) =>
      Effect.map(content.blob(defaultScope, body.digest), (bytes) =>
        bytes === undefined ? undefined : new TextDecoder().decode(bytes)
      )
    return { log, text, reads: () => reads }
  })

/** After this the store is asked again. */
const askedAgainAfter = <A>(ending: (log: LogService) => Effect.Effect<A, LogFailed>) =>
  Effect.gen(function* () {
    const { log, reads, text } = yield* opened()
    const body = bodyOf("to be gone")
    yield* log.write({ blobs: [body] })
    yield* ending(log)
    yield* text(body)
    assert.strictEqual(reads(), 1)
  })

describe("recent content", () => {
  it.scoped("is answered without the store, and what is older by the store", () =>
    Effect.gen(function* () {
      const { log, reads, text } = yield* opened()
      const first = bodyOf("first")
      yield* log.write({ blobs: [first] })
      assert.deepStrictEqual([yield* text(first), reads()], ["first", 0])
      const large = Array.from({ length: 8 }, (_, n) => bodyOf(String(n).repeat(3_000_000)))
      for (const blob of large) yield* log.write({ blobs: [blob] })
      assert.deepStrictEqual([yield* text(first), reads()], ["first", 1])
    })
  )

  it.scoped("is nothing that was not acknowledged", () =>
    Effect.gen(function* () {
      let failing = true
      const { log, reads, text } = yield* opened(() => failing)
      const body = bodyOf("never stored")
      assert.isTrue(Exit.isFailure(yield* Effect.exit(log.write({ blobs: [body] }))))
      failing = false
      assert.deepStrictEqual([yield* text(body), reads()], [undefined, 1])
    })
  )

  it.scoped("is of its project alone", () =>
    Effect.gen(function* () {
      const { log, reads, text } = yield* opened()
      const body = { ...bodyOf("of another project"), project: ProjectName.make("another") }
      yield* log.write({ blobs: [body] })
      assert.deepStrictEqual([yield* text(bodyOf("of another project")), reads()], [undefined, 1])
    })
  )

  it.scoped("does not outlive a collection", () => askedAgainAfter(({ collect }) => collect(rules)))

  it.scoped("does not outlive a purge", () => askedAgainAfter(({ purge }) => purge([])))
})
