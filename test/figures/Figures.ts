/**
 * One table of what was tried against the promises, with seeds, counts and time; no violation is the only pass.
 *
 *   npm run figures -- [--ci | --long] [--images 20000] [--only flipped-bits] [--seed 1] [--from file]
 *
 * Drives the tests that make each row with their environment, and counts what they report, never what was asked of them.
 * Ends with 1 where a test fails, or where a row falls short of what was asked.
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { Schema } from "effect"
import { type Row, rows } from "./Rows.ts"

const Counted = Schema.parseJson(
  Schema.Struct({
    figure: Schema.String,
    count: Schema.Number,
    of: Schema.optional(Schema.Record({ key: Schema.String, value: Schema.Number })),
    seed: Schema.optional(Schema.Number)
  })
)
type Counted = typeof Counted.Type

const { values } = parseArgs({
  options: {
    ci: { type: "boolean", default: false },
    long: { type: "boolean", default: false },
    seed: { type: "string", default: "1" },
    /** Adds up what a run of the suite has reported, and runs nothing. */
    from: { type: "string" },
    ...Object.fromEntries(rows.map(({ option }) => [option, { type: "string" } as const]))
  }
})
const seed = Number(values.seed)

interface Done {
  readonly row: Row
  readonly asked: number
  readonly counted: ReadonlyArray<Counted>
  readonly hours: number | undefined
  readonly violations: number
}

const countedIn = (file: string): ReadonlyArray<Counted> =>
  existsSync(file)
    ? readFileSync(file, "utf8")
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => Schema.decodeUnknownSync(Counted)(line))
    : []

/** What somebody asked for; a row that nobody named is left out where others were named. */
const askedOf = (row: Row): number => {
  const own: unknown = Reflect.get(values, row.option)
  if (typeof own === "string") return Number(own)
  const isNamed = rows.some(({ option }) => Reflect.get(values, option) !== undefined)
  if (values.long) return row.long
  if (values.ci || !isNamed) return row.ci
  return 0
}

const TestReport = Schema.parseJson(
  Schema.Struct({
    numFailedTests: Schema.Number,
    numFailedTestSuites: Schema.Number,
    testResults: Schema.Array(
      Schema.Struct({
        message: Schema.String,
        assertionResults: Schema.Array(
          Schema.Struct({
            fullName: Schema.String,
            status: Schema.String,
            failureMessages: Schema.optional(Schema.Array(Schema.String))
          })
        )
      })
    )
  })
)

/** Runs what makes a row; answers how many tests failed, and says what they said. */
const make = ({ run }: Row, asked: number, folder: string): number => {
  const report = join(folder, "report.json")
  const [args, environment] =
    run.kind === "script"
      ? [run.args(asked, seed), {}]
      : [
          [
            "node_modules/vitest/vitest.mjs",
            "run",
            ...run.files,
            "--reporter=json",
            `--outputFile=${report}`
          ],
          run.environment(asked, seed)
        ]
  const { status } = spawnSync(process.execPath, args, {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, ...environment, REPRISE_FIGURES: join(folder, "counted") }
  })
  if (run.kind === "script" || !existsSync(report)) return status === 0 ? 0 : 1
  const { numFailedTests, numFailedTestSuites, testResults } = Schema.decodeUnknownSync(TestReport)(
    readFileSync(report, "utf8")
  )
  for (const { assertionResults, message } of testResults) {
    if (message !== "") console.error(`VIOLATION ${message}`)
    for (const { failureMessages, fullName } of assertionResults.filter(({ status }) => status === "failed"))
      console.error(`VIOLATION ${fullName}\n  ${failureMessages?.join("\n  ") ?? ""}`)
  }
  return Math.max(numFailedTests, numFailedTestSuites, status === 0 ? 0 : 1)
}

const runRow = (row: Row): Done => {
  const asked = askedOf(row)
  const nothing = { row, asked, counted: [], hours: undefined, violations: 0 }
  if (asked === 0) return nothing
  const mine = (all: ReadonlyArray<Counted>) => all.filter(({ figure }) => figure === row.figure)
  if (values.from !== undefined) return { ...nothing, counted: mine(countedIn(values.from)) }
  const folder = mkdtempSync(join(tmpdir(), "reprise-figures-"))
  const began = performance.now()
  try {
    const violations = make(row, asked, folder)
    const counted = mine(countedIn(join(folder, "counted")))
    return { row, asked, counted, hours: (performance.now() - began) / 3_600_000, violations }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const totalOf = ({ counted }: Done): number => counted.reduce((sum, { count }) => sum + count, 0)

const seedsOf = ({ counted }: Done): string => {
  const seeds = counted.flatMap((one) => (one.seed === undefined ? [] : [one.seed]))
  return seeds.length === 0 ? "" : `from ${Math.min(...seeds)}`
}

/** How often each failpoint was hit by a kill: the least of them. */
const failpointsIn = (done: Done): string => {
  const hits = new Map<string, number>()
  for (const { of = {} } of done.counted)
    for (const [name, count] of Object.entries(of))
      if (name.includes(".")) hits.set(name, (hits.get(name) ?? 0) + count)
  if (hits.size === 0) return ""
  const [least, count] = [...hits].reduce((one, other) => (other[1] < one[1] ? other : one))
  return `${hits.size} failpoints, each at least ${count} times (${least})`
}

const detailsOf = (done: Done): string => {
  const failpoints = failpointsIn(done)
  if (failpoints !== "") return failpoints
  const sums = new Map<string, number>()
  for (const { of = {} } of done.counted)
    for (const [name, count] of Object.entries(of)) sums.set(name, (sums.get(name) ?? 0) + count)
  return [...sums].map(([name, count]) => `${name} ${count}`).join(", ")
}

const isShort = (done: Done): boolean =>
  // All of the planted bugs are fewer than may be asked for: the script judges what it ran.
  done.row.option === "bugs" ? false : totalOf(done) < done.asked

const printed = (done: Done): ReadonlyArray<string> => [
  done.row.figure,
  done.asked === 0 ? "-" : String(done.asked),
  done.asked === 0 ? "not asked for" : String(totalOf(done)),
  seedsOf(done),
  done.hours === undefined ? "" : done.hours.toFixed(3),
  done.asked === 0 || values.from !== undefined ? "" : String(done.violations),
  detailsOf(done)
]

const header = ["figure", "asked", "run", "seeds", "hours", "violations", "of which"]
const done = rows.map((row) => {
  const one = runRow(row)
  if (one.asked > 0 && values.from === undefined) console.error(printed(one).join(" | "))
  return one
})
const table = [header, ...done.map(printed)]
const widths = header.map((_, at) => Math.max(...table.map((line) => line[at]?.length ?? 0)))
const lines = table.map((line) => `| ${line.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(" | ")} |`)
console.log(
  [lines[0], `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`, ...lines.slice(1)].join("\n")
)
const violations = done.reduce((sum, one) => sum + one.violations, 0)
const short = done.filter((one) => one.asked > 0 && isShort(one))
if (violations > 0) console.log(`\n${violations} violations`)
for (const { row } of short) console.log(`${row.figure}: fewer were run than were asked for`)
process.exitCode = violations > 0 || short.length > 0 ? 1 : 0
