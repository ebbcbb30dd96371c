/** Bodies that are put in pieces: whoever follows the answers arrives, and nobody takes more memory than there is for it. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, type Scope, TestClock } from "effect"
import { defaultScope, ProjectName, type ProjectScope, sha256 } from "../../events/index.ts"
import { Content } from "../../src/log/Content.ts"
import { Log } from "../../src/log/Log.ts"
import { makePutBodies, type PutBodies } from "../../src/messaging/PutBodies.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { logRoom } from "../support/writeSide.ts"

const limits = { maxBytes: 100, mostBytes: 150, idle: Duration.seconds(30) }
const other: ProjectScope = { ...defaultScope, project: ProjectName.make("other") }
const bodyOf = (letter: string, bytes: number) => Buffer.from(letter.repeat(bytes))
const digestOf = (body: Uint8Array) => sha256(body)

const piece = (body: Buffer, offset: number, length = body.length) => ({
  digest: digestOf(body),
  bytes: body.length,
  offset,
  base64: body.subarray(offset, offset + length).toString("base64")
})
const refusal = <A, E>(put: Effect.Effect<A, E>) =>
  Effect.map(Effect.flip(put), (error) => JSON.stringify(error))

const onLog = (
  name: string,
  test: (puts: PutBodies, content: Content["Type"]) => Effect.Effect<void, unknown, Scope.Scope>
) =>
  it.scoped(name, () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* Effect.gen(function* () {
        const content = yield* Content
        yield* test(yield* makePutBodies(yield* Log, content, limits), content)
      }).pipe(Effect.provide(logRoom(directory)))
    })
  )

describe("bodies that are put in pieces", () => {
  onLog("are stored once they are whole, in their own project", ({ put }, content) =>
    Effect.gen(function* () {
      const body = bodyOf("a", 70)
      const digest = digestOf(body)
      assert.deepStrictEqual(yield* put(defaultScope, piece(body, 0, 30)), {
        digest,
        bytes: 70,
        nextOffset: 30
      })
      assert.isUndefined(yield* content.blob(defaultScope, digest))
      assert.deepStrictEqual(yield* put(defaultScope, piece(body, 30, 40)), { digest, bytes: 70 })
      assert.deepStrictEqual(Buffer.from((yield* content.blob(defaultScope, digest)) ?? []), body)
      assert.isUndefined(yield* content.blob(other, digest))
      assert.deepStrictEqual(yield* put(defaultScope, piece(body, 0, 30)), { digest, bytes: 70 })
    })
  )

  onLog(
    "go on where they were, after a piece that came twice, too early, or when all was forgotten",
    ({ put }) =>
      Effect.gen(function* () {
        const body = bodyOf("b", 60)
        const next = (offset: number, length: number) =>
          Effect.map(put(defaultScope, piece(body, offset, length)), ({ nextOffset }) => nextOffset)
        assert.strictEqual(yield* next(20, 20), 0)
        assert.strictEqual(yield* next(0, 20), 20)
        assert.strictEqual(yield* next(0, 20), 20)
        assert.strictEqual(yield* next(40, 20), 20)
        yield* TestClock.adjust("59 seconds")
        assert.strictEqual(yield* next(20, 20), 40)
        yield* TestClock.adjust("90 seconds")
        assert.strictEqual(yield* next(40, 20), 0)
      })
  )

  onLog("are refused where they are not what their digest says, and may be put again", ({ put }, content) =>
    Effect.gen(function* () {
      const body = bodyOf("c", 50)
      const forged = { ...piece(bodyOf("d", 50), 0), digest: digestOf(body) }
      assert.include(yield* refusal(put(defaultScope, forged)), '"digest"')
      assert.isUndefined(yield* content.blob(defaultScope, digestOf(body)))
      yield* put(defaultScope, piece(body, 0, 25))
      const longer = { ...piece(body, 0, 50), offset: 25 }
      assert.include(yield* refusal(put(defaultScope, longer)), '"invalid"')
      assert.include(yield* refusal(put(defaultScope, { ...piece(body, 25), base64: "" })), '"invalid"')
      assert.include(yield* refusal(put(defaultScope, { ...piece(body, 25), bytes: 51 })), '"invalid"')
      yield* put(defaultScope, piece(body, 0))
      assert.isDefined(yield* content.blob(defaultScope, digestOf(body)))
    })
  )

  onLog("take bounded memory, of each project and of all, until they are whole or forgotten", ({ put }) =>
    Effect.gen(function* () {
      assert.include(yield* refusal(put(defaultScope, piece(bodyOf("e", 101), 0, 1))), '"too-large"')
      yield* put(defaultScope, piece(bodyOf("f", 90), 0, 1))
      assert.include(yield* refusal(put(defaultScope, piece(bodyOf("g", 20), 0, 1))), '"busy"')
      yield* put(other, piece(bodyOf("g", 20), 0, 20))
      assert.include(yield* refusal(put(other, piece(bodyOf("h", 70), 0, 1))), '"busy"')
      yield* put(defaultScope, piece(bodyOf("f", 90), 1))
      yield* put(other, piece(bodyOf("h", 70), 0, 1))
      yield* TestClock.adjust("60 seconds")
      yield* put(other, piece(bodyOf("i", 90), 0, 1))
    })
  )
})
