/** The suite of one way: killed at every failpoint that it reaches, and what must hold after. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { FailpointName } from "../../src/faults/Failpoints.ts"
import { reportCount } from "../support/figures.ts"
import { reachedSometimes, shownByAdd } from "./reached.ts"
import { assertRecovers, openWay, reachedBy, type Way, type WayName } from "./Ways.ts"

/** `REPRISE_CRASH=all` kills at the first, the middle and the last hit; else at the first and one in the middle. */
const thorough = process.env["REPRISE_CRASH"] === "all"

/** `REPRISE_KILLS`: how often at each failpoint, spread over its hits. */
const kills = Number(process.env["REPRISE_KILLS"] ?? 0)

/** Two at a time: more of them would only wait for each other. */
const inTurns = async <A>(all: ReadonlyArray<A>, run: (one: A) => Promise<void>): Promise<void> => {
  for (let at = 0; at < all.length; at += 2) await Promise.all(all.slice(at, at + 2).map(run))
}

/** The hits of a failpoint at which the way is killed. */
const hitsOf = (count: number, middle: boolean): ReadonlyArray<number> =>
  kills > 0
    ? Array.from({ length: kills }, (_, n) => 1 + (n % Math.max(1, count)))
    : [
        ...new Set([
          1,
          ...(middle || thorough ? [Math.ceil((count + 1) / 2)] : []),
          ...(thorough ? [count] : [])
        ])
      ]

export const killing = (
  name: WayName,
  options: {
    readonly middle: boolean
    /** Failpoints that other ways show as well: killed there only where all is asked for. */
    readonly shownElsewhere?: ReadonlySet<FailpointName>
  }
): (() => Way) => {
  let opened: Way | undefined
  const way = () => {
    if (opened === undefined) throw new Error(`The way ${name} is not open.`)
    return opened
  }
  beforeAll(async () => {
    opened = await openWay(name)
  }, 120_000)
  afterAll(() => opened?.close())

  describe(`P1: ${name}, killed and run again, ends as an uninterrupted run`, () => {
    const everywhere = name === "add" || thorough
    for (const failpoint of reachedBy[name].filter(
      (one) => everywhere || !(shownByAdd.has(one) || options.shownElsewhere?.has(one))
    )) {
      it.live(
        `at ${failpoint}`,
        () =>
          Effect.promise(async () => {
            const one = way()
            const hits = hitsOf(one.reached.get(failpoint) ?? 1, options.middle)
            await inTurns(hits, async (hit) => {
              const data = one.fresh()
              const what = `${name} killed at ${failpoint}, hit ${hit}`
              const end = await one.run(data, { failpoints: `${failpoint}:${hit}:kill` })
              assert.isFalse(end.overdue, `${what}: ${end.account}`)
              // How work falls into groups is the scheduler's: later hits need not come again.
              if (hit === 1) assert.strictEqual(end.signal, "SIGKILL", `${what}: ${end.account}`)
              else assert.isTrue(end.signal === "SIGKILL" || end.done, `${what}: ${end.account}`)
              await assertRecovers(one, data, what)
              if (end.signal === "SIGKILL")
                reportCount({ figure: "kills, one process", count: 1, of: { [failpoint]: 1 } })
            })
          }),
        kills > 0 ? 3_600_000 : 120_000
      )
    }
  })

  it("reaches the failpoints that are listed for it, and no other", () => {
    const listed = new Set<string>(reachedBy[name])
    const besides = new Set<string>(reachedSometimes)
    const reached = [...way().reached.keys()].filter((one) => listed.has(one) || !besides.has(one))
    assert.deepStrictEqual(reached.sort(), [...reachedBy[name]].sort())
  })
  return way
}
