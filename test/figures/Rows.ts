/** The rows of the table of figures: which tests make each, how many of them CI wants, and how many a longer run. */

/** What a row runs: tests with their environment, or a script of the package. */
export type Run =
  | {
      readonly kind: "tests"
      readonly files: ReadonlyArray<string>
      readonly environment: (asked: number, seed: number) => Readonly<Record<string, string>>
    }
  | { readonly kind: "script"; readonly args: (asked: number, seed: number) => ReadonlyArray<string> }

export interface Row {
  /** As the tests report it. */
  readonly figure: string
  /** The option that sets its number. */
  readonly option: string
  /** What CI has to reach. */
  readonly ci: number
  /** A night on a machine of one's own. */
  readonly long: number
  readonly run: Run
}

const tests = (
  files: ReadonlyArray<string>,
  environment: (asked: number, seed: number) => Readonly<Record<string, string>>
): Run => ({ kind: "tests", files, environment })

const seeded = (variable: string) => (asked: number, seed: number) => ({
  [variable]: String(asked),
  REPRISE_SEED: String(seed)
})

export const rows: ReadonlyArray<Row> = [
  {
    figure: "kills, one process",
    option: "kills",
    ci: 50,
    long: 2_000,
    // As often at each failpoint, and some at random moments, two a round.
    run: tests(
      ["test/crash/LogKill.test.ts", "test/crash/RandomKill.test.ts", ...killed()],
      (asked, seed) => ({
        REPRISE_KILLS: String(Math.max(1, Math.ceil(asked / 100))),
        REPRISE_ROUNDS: String(Math.max(10, Math.ceil(asked / 40) * 2)),
        REPRISE_SEED: String(seed)
      })
    )
  },
  {
    figure: "kills, distributed",
    option: "distributed",
    ci: 12,
    long: 500,
    // A kill every six seconds, a document every 60 ms; and some at each failpoint.
    run: tests(["test/e2e/Distributed.test.ts", "test/crash/NatsKill.test.ts"], (asked, seed) => ({
      ...(asked > 12
        ? {
            REPRISE_DISTRIBUTED: String(Math.max(1_001, asked * 100)),
            ...(asked >= 250 ? { REPRISE_KILLS: String(Math.floor(asked / 250)) } : {})
          }
        : {}),
      REPRISE_SEED: String(seed)
    }))
  },
  {
    figure: "ordered pairs of failpoints",
    option: "pairs",
    ci: 20,
    long: 400,
    run: tests(["test/crash/LogKill.test.ts"], seeded("REPRISE_PAIRS"))
  },
  {
    figure: "power-cut images",
    option: "images",
    ci: 500,
    long: 20_000,
    run: tests(["test/crash/powercut/PowerCut.test.ts"], seeded("REPRISE_IMAGES"))
  },
  {
    figure: "full or EIO at the nth write",
    option: "faults",
    ci: 50,
    long: 2_000,
    run: tests(["test/crash/FailingDisk.test.ts"], (asked) => ({
      ...(asked > 50 ? { REPRISE_FAULTS: "all" } : {})
    }))
  },
  {
    figure: "write-ahead logs cut",
    option: "cuts",
    ci: 50,
    long: 200,
    run: tests(["test/crash/DamagedBits.test.ts"], (asked) => ({
      ...(asked > 50 ? { REPRISE_FAULTS: "all" } : {}),
      REPRISE_BITS: "10"
    }))
  },
  {
    figure: "flipped bits",
    option: "bits",
    ci: 100,
    long: 20_000,
    run: tests(["test/crash/DamagedBits.test.ts"], seeded("REPRISE_BITS"))
  },
  {
    figure: "simulated schedules",
    option: "schedules",
    ci: 5_000,
    long: 200_000,
    run: tests(["test/simulation/simulation.test.ts"], (asked, seed) => ({
      REPRISE_SCHEDULES: String(asked),
      REPRISE_FROM: String(seed)
    }))
  },
  {
    figure: "hostile files, messages, queries",
    option: "hostile",
    ci: 3_500,
    long: 2_000_000,
    run: tests(["test/hostile/Hostile.test.ts"], seeded("REPRISE_HOSTILE"))
  },
  {
    figure: "hostile requests",
    option: "requests",
    ci: 500,
    long: 100_000,
    run: tests(["test/hostile/Requests.test.ts"], seeded("REPRISE_REQUESTS"))
  },
  {
    figure: "two-tenant pairs",
    option: "tenants",
    ci: 200,
    long: 10_000,
    run: tests(["test/simulation/simulation.test.ts"], (asked, seed) => ({
      REPRISE_SCHEDULES: "1",
      REPRISE_TENANTS: String(asked),
      REPRISE_FROM: String(seed)
    }))
  },
  {
    figure: "planted bugs caught",
    option: "bugs",
    ci: 10,
    long: 1_000,
    run: {
      kind: "script",
      args: (asked, seed) => ["scripts/prove.js", "--mutants", String(asked), "--seed", String(seed)]
    }
  },
  {
    figure: "minutes of soak",
    option: "soak",
    ci: 2,
    long: 60,
    // Within ten minutes the heap has not settled: its growth would say nothing, its peak does.
    run: {
      kind: "script",
      args: (asked) =>
        ["scripts/bench.js", "soak", "--minutes", String(asked)].concat(asked < 10 ? ["--short"] : [])
    }
  }
]

/** The ways that are killed at each of their failpoints. */
function killed(): ReadonlyArray<string> {
  return ["Add", "Sync", "Replay", "Build", "Repair", "Collect", "Erase", "Park", "Rest", "Archive"].map(
    (name) => `test/crash/${name}Kill.test.ts`
  )
}
