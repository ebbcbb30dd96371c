/**
 * Proves that the tests notice bugs: plants them one by one in a copy of the tree and runs the test that has to fail.
 *
 *   npm run prove -- [--mutants 10] [--only name] [--seed text] [--seeds 20] [--types] [--jobs 2]
 *
 * First the same tests run without a bug: what fails then proves nothing. Ends with 1 where a bug survives, where a patch no
 * longer applies, or where a test fails for another reason than the bug.
 */
import { spawnSync } from "node:child_process"
import { availableParallelism } from "node:os"
import { parseArgs } from "node:util"
import { Clock, Duration, Effect, Either } from "effect"
import { sha256 } from "../../events/Ids.ts"
import { canTrace } from "../crash/powercut/Trace.ts"
import { reportCount } from "../support/figures.ts"
import { natsProgram } from "../support/natsTests.ts"
import { type Copy, makeCopy, type Ran } from "./Copy.ts"
import { type Mutant, readMutants, type Witness } from "./Mutant.ts"
import { simulatable, simulate } from "./Simulated.ts"
import { refusedTypes } from "./Types.ts"

const root = process.cwd()

/** One test with one bug. The slowest takes a quarter of it on two busy cores. */
const limit = Duration.seconds(90)

const { values } = parseArgs({
  options: {
    mutants: { type: "string" },
    only: { type: "string", multiple: true },
    seed: { type: "string" },
    seeds: { type: "string" },
    types: { type: "boolean", default: false },
    jobs: { type: "string", default: String(Math.min(2, availableParallelism())) }
  }
})

/** The commit, so that each brings other bugs; another text on request. */
const seedOf = (): string => {
  if (values.seed !== undefined) return values.seed
  const commit = spawnSync("git", ["-C", root, "rev-parse", "HEAD"], { encoding: "utf8" })
  return commit.status === 0 ? commit.stdout.trim().slice(0, 12) : String(process.hrtime.bigint())
}

type Verdict =
  | { readonly _tag: "Caught"; readonly by: string; readonly with: string }
  | { readonly _tag: "Survived"; readonly why: string }

/** Assertions and typed failures speak of behaviour; these speak of code that cannot run, or of a test that waits. */
const noBehaviour =
  /SyntaxError|ReferenceError|Transform failed|Cannot find (module|package)|timed out in|STACK_TRACE_ERROR/

const judge = ({ witness }: Mutant, { results, unloaded }: Ran): Verdict => {
  const [broken] = unloaded
  if (broken !== undefined)
    return { _tag: "Survived", why: `${broken.file} cannot be run with it: ${firstLine(broken.reason)}` }
  const mine = results.filter((result) => isMeant(witness, result))
  if (mine.length === 0) return { _tag: "Survived", why: "no test of that name was run" }
  const failed = mine.filter(({ status }) => status === "failed")
  if (failed.length === 0) return { _tag: "Survived", why: "the test passes" }
  const telling = failed.find(({ failure }) => !noBehaviour.test(failure))
  return telling === undefined
    ? { _tag: "Survived", why: `the test does not judge it: ${firstLine(failed[0]?.failure ?? "")}` }
    : { _tag: "Caught", by: telling.name, with: firstLine(telling.failure) }
}

const isMeant = ({ file, test }: Witness, result: { readonly file: string; readonly name: string }) =>
  result.file === file && result.name.includes(test)

const firstLine = (text: string): string =>
  (text.split("\n").find((line) => line.trim() !== "") ?? "").trim().slice(0, 140)

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`

const say = (line: string) => Effect.sync(() => console.log(line))

/** The witnesses that fail, or are not there, without any bug: a run for each copy, each with files of its own. */
const unfit = Effect.fnUntraced(function* (copies: ReadonlyArray<Copy>, mutants: ReadonlyArray<Mutant>) {
  const files = [...new Set(mutants.map(({ witness }) => witness.file))]
  const found = yield* Effect.forEach(
    copies,
    (copy, at) =>
      Effect.gen(function* () {
        const some = mutants.filter(({ witness }) => files.indexOf(witness.file) % copies.length === at)
        if (some.length === 0) return []
        const needs = new Set(some.flatMap((mutant) => mutant.needs))
        const witnesses = some.map(({ witness }) => witness)
        const ran = yield* Effect.either(
          copy.run(witnesses, { needs: [...needs], limit: Duration.times(limit, 2 + some.length / 4) })
        )
        return some.flatMap((mutant): ReadonlyArray<readonly [Mutant, string]> => {
          if (Either.isLeft(ran)) return [[mutant, ran.left.message]]
          const mine = ran.right.results.filter((result) => isMeant(mutant.witness, result))
          if (mine.length === 0) return [[mutant, "is not there"]]
          const failed = mine.find(({ status }) => status === "failed")
          return failed === undefined ? [] : [[mutant, `fails without the bug: ${firstLine(failed.failure)}`]]
        })
      }),
    { concurrency: "unbounded" }
  )
  return new Map(found.flat())
})

const tryOne = Effect.fnUntraced(function* (copy: Copy, mutant: Mutant) {
  yield* copy.plant(mutant)
  const ran = yield* copy.run([mutant.witness], { needs: mutant.needs, limit })
  return judge(mutant, ran)
}, Effect.scoped)

const chosen = (all: ReadonlyArray<Mutant>, seed: string): ReadonlyArray<Mutant> => {
  const { mutants, only } = values
  if (only !== undefined) {
    const unknown = only.filter((name) => !all.some((one) => one.name === name))
    if (unknown.length > 0) throw new Error(`No planted bug is called ${unknown.join(", ")}.`)
    return all.filter(({ name }) => only.includes(name))
  }
  if (mutants === undefined) return all
  const rank = ({ name }: Mutant) => sha256(`${seed}/${name}`)
  return all.toSorted((one, other) => (rank(one) < rank(other) ? -1 : 1)).slice(0, Number(mutants))
}

/** Random histories, kills and simulated schedules of the tree as it is. */
const runSeeds = Effect.fnUntraced(function* (copy: Copy, count: number, first: number) {
  const began = yield* Clock.currentTimeMillis
  const kinds = [
    {
      what: "histories of files",
      file: "test/e2e/History.test.ts",
      variable: "REPRISE_HISTORIES",
      from: "REPRISE_SEED"
    },
    {
      what: "rounds of kills",
      file: "test/crash/RandomKill.test.ts",
      variable: "REPRISE_ROUNDS",
      from: "REPRISE_SEED"
    },
    {
      what: "simulated schedules",
      file: "test/simulation/simulation.test.ts",
      variable: "REPRISE_SCHEDULES",
      from: "REPRISE_FROM"
    }
  ]
  let bad = 0
  for (const { file, from, variable, what } of kinds) {
    const ran = yield* copy.run([{ file, test: "" }], {
      needs: ["threads"],
      limit: Duration.seconds(120 + 20 * count),
      environment: { [variable]: String(count), [from]: String(first) }
    })
    const failed = ran.results.filter(({ status }) => status === "failed")
    bad += failed.length + ran.unloaded.length
    for (const { failure, name } of failed) yield* say(`  FAILED ${name}\n         ${firstLine(failure)}`)
    yield* say(`${count} ${what} from seed ${first}: ${failed.length} failed`)
  }
  yield* say(`  ${seconds((yield* Clock.currentTimeMillis) - began)}\n`)
  return bad
})

/** Which bug dies in which simulated schedule. One that lives through them all is no failure: its own test catches it. */
const runSimulated = Effect.fnUntraced(function* (
  mutants: ReadonlyArray<Mutant>,
  count: number,
  first: number
) {
  const some = yield* Effect.promise(() => simulatable(root, mutants))
  const died = yield* Effect.forEach(
    some,
    (mutant) =>
      Effect.gen(function* () {
        const asked = { from: first, seeds: count, limitMs: Duration.toMillis(limit) }
        const { died, ran } = yield* Effect.promise(() => simulate(root, mutant, asked))
        yield* say(
          died === undefined
            ? `  ${mutant.name}: alive after ${ran} schedules`
            : `  ${mutant.name}: died in schedule ${died.seed}: ${firstLine(died.broken)}`
        )
        return died !== undefined
      }),
    { concurrency: Number(values.jobs) }
  )
  yield* say(
    `${died.filter((one) => one).length} of ${some.length} planted bugs died in a simulated schedule`
  )
})

/** Answers whether all was caught. */
const prove = Effect.gen(function* () {
  const seed = seedOf()
  const all = readMutants(root)
  const missing = [
    ...(natsProgram === undefined ? ["nats-server" as const] : []),
    ...(canTrace ? [] : ["strace" as const])
  ]
  const here = all.filter(({ needs }) => !missing.some((program) => needs.includes(program)))
  const mutants = chosen(here, seed)
  yield* say(`${mutants.length} of ${all.length} planted bugs, chosen by ${seed}; ${values.jobs} at a time`)
  if (here.length < all.length)
    yield* say(`${missing.join(" and ")} not installed: ${all.length - here.length} bugs are left out`)

  const survivors: Array<string> = []
  const copies = yield* Effect.all(Array.from({ length: Number(values.jobs) }, () => makeCopy(root)))
  const [first] = copies
  if (first === undefined) return yield* Effect.dieMessage("--jobs is at least 1.")

  if (values.types) {
    const refused = refusedTypes(root, mutants)
    for (const [name, why] of refused) {
      survivors.push(name)
      yield* say(`  REFUSED  ${name}: the compiler notices it, no test is needed: ${why}`)
    }
    yield* say(`the compiler takes ${mutants.length - refused.size} of ${mutants.length}`)
  }

  const began = yield* Clock.currentTimeMillis
  const bad = yield* unfit(copies, mutants)
  const took = (yield* Clock.currentTimeMillis) - began
  yield* say(
    `without any bug their tests pass${bad.size > 0 ? `, but for ${bad.size}` : ""} (${seconds(took)})\n`
  )

  const waiting = [...mutants]
  let done = 0
  yield* Effect.forEach(
    copies,
    (copy) =>
      Effect.gen(function* () {
        for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
          const started = yield* Clock.currentTimeMillis
          const unfitBecause = bad.get(mutant)
          const verdict: Verdict =
            unfitBecause !== undefined
              ? { _tag: "Survived", why: `its test ${unfitBecause}` }
              : yield* tryOne(copy, mutant).pipe(
                  Effect.catchAll(({ message }) =>
                    Effect.succeed({ _tag: "Survived", why: message } as const)
                  )
                )
          const ms = (yield* Clock.currentTimeMillis) - started
          done += 1
          const head = `${String(done).padStart(3)}  ${mutant.name}`
          if (verdict._tag === "Caught") {
            yield* say(
              `${head}: caught in ${seconds(ms)}\n     ${mutant.bug}\n     ${mutant.witness.file} › ${verdict.by}\n     ${verdict.with}`
            )
            continue
          }
          survivors.push(mutant.name)
          yield* say(
            `${head}: NOT CAUGHT (${seconds(ms)})\n     ${mutant.bug} Breaks ${mutant.breaks}.\n     ${mutant.witness.file} › ${mutant.witness.test}\n     ${verdict.why}`
          )
        }
      }),
    { concurrency: "unbounded", discard: true }
  )
  const failedSeeds =
    values.seeds === undefined
      ? 0
      : yield* runSeeds(first, Number(values.seeds), Number(values.seed ?? 1) || 1)

  if (values.seeds !== undefined)
    yield* runSimulated(mutants, Number(values.seeds), Number(values.seed ?? 1) || 1)

  const lost = new Set(survivors)
  if (lost.size > 0) yield* say(`\nnot caught: ${[...lost].join(", ")}`)
  reportCount({ figure: "planted bugs caught", count: mutants.length - lost.size })
  yield* say(`\n${mutants.length - lost.size} of ${mutants.length} planted bugs caught`)
  return lost.size === 0 && failedSeeds === 0
}).pipe(Effect.scoped)

// An interruption ends the scopes, and with them every process and every copy.
const fiber = Effect.runFork(prove)
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(signal, () => fiber.unsafeInterruptAsFork(fiber.id()))
}
fiber.addObserver((exit) => {
  if (exit._tag === "Failure") console.error(String(exit.cause))
  process.exitCode = exit._tag === "Success" && exit.value ? 0 : 1
})
