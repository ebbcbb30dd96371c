/** What is asked of a bus several at a time, where it is away in between. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { AtOnce, acknowledge, BusUnavailable, type ClaimRequest, claimOneByOne } from "../../src/bus/Bus.ts"
import { code, orderFor } from "../conformance/bus.ts"

const away = new BusUnavailable({ bus: "test", detail: "It is away." })
const requests = ["one", "two", "three"].map((name): ClaimRequest => {
  const { attempt, jobId, lane } = orderFor(name)
  return { lane, jobId, attempt, worker: "w", code }
})

/** A bus that goes away after so many claims. */
const answering = (count: number) => {
  const asked: Array<ClaimRequest> = []
  return {
    asked,
    claim: claimOneByOne((request) =>
      Effect.suspend(() =>
        asked.push(request) > count ? Effect.fail(away) : Effect.succeed({ _tag: "Granted" as const })
      )
    )
  }
}

describe("claims that a bus asks for one by one", () => {
  it.effect("are answered as far as the bus was there, and no more are asked for", () =>
    Effect.gen(function* () {
      const { asked, claim } = answering(1)
      assert.deepStrictEqual(yield* claim(requests), [{ _tag: "Granted" }])
      assert.deepStrictEqual(asked, requests.slice(0, 2))
    })
  )

  it.effect("fail where none is answered", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Effect.flip(answering(0).claim(requests)), away)
    })
  )
})

describe("several acknowledgements", () => {
  it.effect("are all made although one of them fails, which is told", () =>
    Effect.gen(function* () {
      const made: Array<string> = []
      const said = (name: string) => Effect.sync(() => void made.push(name))
      const all = [
        { ack: new AtOnce(() => void made.push("at once")) },
        { ack: said("first") },
        { ack: Effect.zipRight(said("failing"), away) },
        { ack: said("last") }
      ]
      assert.strictEqual(yield* Effect.flip(acknowledge(all)), away)
      assert.deepStrictEqual(made, ["at once", "first", "failing", "last"])
    })
  )

  it.effect("that take no time are made when their effect runs, not before", () =>
    Effect.gen(function* () {
      let made = 0
      const ack = new AtOnce(() => {
        made += 1
      })
      const acknowledging = acknowledge([{ ack }, { ack }])
      assert.strictEqual(made, 0)
      yield* acknowledging
      yield* ack
      assert.strictEqual(made, 3)
    })
  )
})
