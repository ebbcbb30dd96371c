import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { reportCount } from "../support/figures.ts"
import { randomOf } from "../support/random.ts"
import { assertSoundLog } from "../support/wholeDirectory.ts"
import { assertRecovers, openWay, type Way } from "./Ways.ts"

/** `REPRISE_CRASH=all`: two thousand moments. Else `REPRISE_ROUNDS`, the first of them seeded with `REPRISE_SEED`. */
const rounds = process.env["REPRISE_CRASH"] === "all" ? 1000 : Number(process.env["REPRISE_ROUNDS"] ?? 26)
const firstSeed = Number(process.env["REPRISE_SEED"] ?? 0)
/** With a third death in a row, a document that ran alone in two of them is held to be the killer, and parked. */
const killsPerRound = 2

describe("P1, P2: add, killed at random moments, again and again over one directory", () => {
  let way: Way | undefined
  beforeAll(async () => {
    way = await openWay("add")
  }, 120_000)
  afterAll(() => way?.close())

  for (let pair = 0; pair < rounds; pair += 2) {
    it(`rounds ${pair} and ${pair + 1}: two kills each, then whole`, async () => {
      await Promise.all(
        [pair, pair + 1].map(async (round) => {
          if (way === undefined) throw new Error("The way is not open.")
          const random = randomOf(firstSeed + round)
          const data = way.fresh()
          let killed = 0
          for (let kill = 0; kill < killsPerRound; kill++) {
            const killAfterMs = Math.round((0.15 + 0.95 * random()) * way.elapsedMs)
            const what = `round ${round}, kill ${kill} after ${killAfterMs} ms`
            const end = await way.run(data, { killAfterMs })
            assert.isTrue(end.done || end.signal === "SIGKILL", `${what}: ${end.account}`)
            if (end.signal === "SIGKILL") killed++
            if (end.said.length > 0) assertSoundLog(data, what)
          }
          await assertRecovers(way, data, `round ${round}`)
          reportCount({
            figure: "kills, one process",
            count: killed,
            of: { "random moments": killed },
            seed: firstSeed
          })
        })
      )
    }, 120_000)
  }
})
