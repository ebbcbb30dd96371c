/** What somebody else in the account, or a worker that hangs, puts in the way of results: others come all the same. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger, LogLevel, Option, type Scope, Stream } from "effect"
import { headers } from "nats"
import { type Digest, defaultScope, documentId, prepareJobId, sha256, sourceId } from "../../events/index.ts"
import { Bus, type WorkResult } from "../../src/bus/Bus.ts"
import type { NatsService } from "../../src/bus/nats/Connection.ts"
import * as Connection from "../../src/bus/nats/Connection.ts"
import { makeHeldBodies } from "../../src/bus/nats/HeldBodies.ts"
import { decodeResult, encodeHeld } from "../../src/bus/nats/MessageCodec.ts"
import * as NatsBus from "../../src/bus/nats/NatsBus.ts"
import { fetchBody } from "../../src/bus/nats/Pieces.ts"
import { resultSubject } from "../../src/bus/nats/Subjects.ts"
import { natsServer } from "../support/NatsServer.ts"
import { connected, optionsFor } from "../support/natsClient.ts"

const jobNamed = (name: string) =>
  prepareJobId(1, documentId(defaultScope, sourceId(defaultScope, "push", "x"), name), 1, sha256(name))
const failedResult = (name: string): WorkResult => ({
  _tag: "Failed",
  jobId: jobNamed(name),
  attempt: 1,
  worker: "well",
  code: "test",
  message: "A result as any other.",
  retryable: true
})

/** Answers requests for held bodies in the name of a process that does not mean well. */
const holding = (
  stranger: NatsService,
  holder: string,
  answer: { readonly size: string; readonly bytes: number } | undefined
) =>
  stranger.subscribe(`reprise.held.${holder}`).pipe(
    Stream.runForEach((request) => {
      if (answer === undefined) return Effect.void
      const all = headers()
      all.set("Reprise-Status", "found")
      all.set("Reprise-Size", answer.size)
      return Effect.ignore(stranger.respond(request, new Uint8Array(answer.bytes), all))
    }),
    Effect.ignore,
    Effect.forkScoped,
    Effect.zipLeft(Effect.sleep("20 millis")),
    Effect.zipLeft(Effect.promise(() => stranger.client.flush()))
  )

const onServer = (
  name: string,
  test: (bus: Context.Tag.Service<Bus>, stranger: NatsService) => Effect.Effect<void, unknown, Scope.Scope>
) =>
  it.scopedLive(name, () =>
    Effect.gen(function* () {
      const { url } = yield* natsServer()
      const own = NatsBus.layer().pipe(Layer.provide(Connection.layer(optionsFor(url))))
      const bus = Context.get(yield* Layer.build(own), Bus)
      yield* test(bus, yield* connected(url))
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )

describe("results over NATS", () => {
  const holders = [
    ["never answers", undefined],
    ["says that it has more bytes than there is memory", { size: String(2 ** 52), bytes: 600 }],
    ["sends a byte at a time", { size: String(200 * 1024 ** 2), bytes: 1 }]
  ] as const
  for (const [what, answer] of holders) {
    onServer(`come although the holder of another one's body ${what}`, (bus, stranger) =>
      Effect.gen(function* () {
        yield* holding(stranger, "evil", answer)
        for (const name of ["a", "b", "c"]) {
          const body = encodeHeld({ holder: "evil", digest: sha256(name) })
          yield* stranger.attempt("forge", () =>
            stranger.jetstream.publish(resultSubject("prepare", jobNamed(name)), body)
          )
        }
        yield* bus.report([failedResult("well")])
        // Sooner than a request for a body that nobody answers is given up.
        const first = yield* Stream.runHead(bus.results).pipe(Effect.timeout("8 seconds"))
        assert.deepStrictEqual(Option.getOrUndefined(first)?.value, failedResult("well"))
      })
    )
  }

  onServer("have bodies of bounded length, in pieces of some length", (_, stranger) =>
    Effect.gen(function* () {
      yield* holding(stranger, "huge", { size: String(2 ** 40), bytes: 600 })
      yield* holding(stranger, "slow", { size: String(2 ** 27), bytes: 1 })
      for (const [holder, reason] of [
        ["huge", /bytes, of .* at most/],
        ["slow", /too short a piece/]
      ] as const) {
        const error = yield* Effect.flip(
          fetchBody(stranger, `reprise.held.${holder}`, sha256("x"), (offset) => String(offset))
        )
        assert.match(error.message, reason)
      }
    })
  )

  onServer("have bodies that are what they were referred to by, or none", (_, stranger) =>
    Effect.gen(function* () {
      yield* holding(stranger, "other", { size: "600", bytes: 600 })
      const fetch = (digest: Digest) =>
        fetchBody(stranger, "reprise.held.other", digest, (offset) => String(offset))
      const body = new Uint8Array(600)
      assert.deepStrictEqual(yield* fetch(sha256(body)), body)
      assert.match((yield* Effect.flip(fetch(sha256("x")))).message, /is not the body/)
    })
  )

  onServer(
    "have bodies that are there although a request for one nests too deep to be described",
    (_, stranger) =>
      Effect.gen(function* () {
        const held = yield* makeHeldBodies(stranger)
        const body = new Uint8Array(600)
        const reference = yield* held.hold(body)
        yield* Effect.promise(() => stranger.client.flush())
        const nested = `{"digest":${"[".repeat(50_000)}${"]".repeat(50_000)},"offset":0}`
        yield* stranger.publish(`reprise.held.${reference.holder}`, nested)
        yield* Effect.sleep("100 millis")
        assert.deepStrictEqual(yield* Effect.timeout(held.fetch(reference), "5 seconds"), body)
      })
  )

  it.effect("are none of ours where their head nests too deep to be described", () =>
    Effect.gen(function* () {
      const head = new TextEncoder().encode(`{"_tag":${"[".repeat(50_000)}${"]".repeat(50_000)}}`)
      const frame = new Uint8Array(4 + head.length)
      new DataView(frame.buffer).setUint32(0, head.length)
      frame.set(head, 4)
      assert.strictEqual((yield* Effect.flip(decodeResult(frame)))._tag, "Undecodable")
    })
  )
})
