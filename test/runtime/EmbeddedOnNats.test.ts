/** The embedded runtime where the settings say NATS, on a real server. */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schedule, Schema } from "effect"
import { Coordinator } from "../../actors/Coordinator.ts"
import { defaultScope } from "../../events/Ids.ts"
import { Bus } from "../../src/bus/Bus.ts"
import { Reader, Writer } from "../../src/runtime/Reprise.ts"
import { SearchRequest } from "../../src/search/Search.ts"
import { embeddedRuntime } from "../support/embeddedRuntime.ts"
import { natsServer } from "../support/NatsServer.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { assertWhole } from "../support/wholeDirectory.ts"

const documents = 40
const tree = Effect.gen(function* () {
  const root = yield* temporaryDirectory
  mkdirSync(join(root, "notes"))
  for (let n = 0; n < documents; n++)
    writeFileSync(
      join(root, "notes", `note-${n}.md`),
      `# Note ${n}\n\nThe ferry number ${n} crosses the harbour.\n`
    )
  return root
})
const ask = Schema.decodeSync(SearchRequest)({
  scope: defaultScope,
  query: "ferry number 7 in the harbour",
  mode: "hybrid",
  limit: 5
})
const add = (root: string) =>
  Effect.flatMap(Writer, (writer) =>
    writer.add([root], { scope: defaultScope, include: [], exclude: [], full: false, stop: undefined })
  )
const found = Effect.flatMap(Reader, ({ search }) =>
  Effect.map(search(ask), ({ hits }) => hits.map(({ chunkId, score }) => [chunkId, score]))
)
/** What was added, whatever bus it went over. */
const fingerprint = Effect.flatMap(Writer, ({ replay }) =>
  Effect.map(
    replay(() => Effect.void),
    ({ fingerprint }) => fingerprint
  )
)

describe("the embedded runtime over NATS", () => {
  it.scopedLive(
    "comes to the fingerprint and the hits of one in process, also where the server loses everything meanwhile",
    () =>
      Effect.gen(function* () {
        const root = yield* tree
        const memory = yield* Effect.scoped(
          Effect.gen(function* () {
            const context = yield* Layer.build(embeddedRuntime(yield* temporaryDirectory, {}))
            return yield* Effect.provide(
              Effect.gen(function* () {
                yield* add(root)
                return { hits: yield* found, fingerprint: yield* fingerprint }
              }),
              context
            )
          })
        )
        const server = yield* natsServer()
        const data = yield* temporaryDirectory
        const nats = yield* Effect.scoped(
          Effect.gen(function* () {
            const context = yield* Layer.build(
              embeddedRuntime(data, { bus: "nats", nats: { url: server.url } })
            )
            return yield* Effect.provide(
              Effect.gen(function* () {
                const { counted } = yield* Coordinator
                const adding = yield* Effect.fork(add(root))
                // Some of it is done, and not all.
                const { committed } = yield* Effect.repeat(counted, {
                  until: (count) => count.committed > 0,
                  schedule: Schedule.spaced("2 millis")
                }).pipe(Effect.zipRight(counted))
                assert.isBelow(committed, documents)
                yield* server.restart("lost")
                const receipt = yield* Fiber.join(adding)
                assert.deepStrictEqual([receipt.added, receipt.failed, receipt.parked], [documents, 0, 0])
                assert.deepInclude(yield* (yield* Bus).state, { kind: "nats", connected: true })
                const { bus } = yield* (yield* Reader).status(defaultScope)
                // A reader knows what is configured, and not whether it is there.
                assert.deepStrictEqual(bus, { kind: "nats" })
                return { hits: yield* found, fingerprint: yield* fingerprint }
              }),
              context
            )
          })
        )
        assert.deepStrictEqual(nats, memory)
        assert.isTrue(nats.fingerprint.equal)
        assertWhole(data, "after a lost store")
      }).pipe(Effect.timeout("120 seconds")),
    130_000
  )
})
