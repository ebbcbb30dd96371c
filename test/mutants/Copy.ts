/**
 * A copy of the tree in which bugs are planted, and vitest over it. The tree itself is not touched, and when the copy's
 * scope ends nothing of it is left: neither files nor processes.
 */
import { spawn } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join, relative } from "node:path"
import { Duration, Effect, Option, Schema, type Scope } from "effect"
import type { Mutant, Need, Witness } from "./Mutant.ts"
import { applyPatch } from "./Patch.ts"

/** What vitest's JSON reporter says, as far as it is looked at. */
const Report = Schema.parseJson(
  Schema.Struct({
    testResults: Schema.Array(
      Schema.Struct({
        name: Schema.String,
        message: Schema.optional(Schema.String),
        assertionResults: Schema.Array(
          Schema.Struct({
            fullName: Schema.String,
            status: Schema.String,
            failureMessages: Schema.NullishOr(Schema.Array(Schema.String))
          })
        )
      })
    )
  })
)

export interface TestResult {
  /** From the root of the tree. */
  readonly file: string
  readonly name: string
  readonly status: "passed" | "failed"
  readonly failure: string
}

/** `unloaded`: files that could not be run at all, and why. */
export interface Ran {
  readonly results: ReadonlyArray<TestResult>
  readonly unloaded: ReadonlyArray<{ readonly file: string; readonly reason: string }>
}

/** Vitest ended without a report, or did not end in time. */
export class NotRun extends Schema.TaggedError<NotRun>()("NotRun", { reason: Schema.String }) {
  override get message() {
    return this.reason
  }
}

/** The patch fits no more: whoever changed the code renews it. */
export class DoesNotApply extends Schema.TaggedError<DoesNotApply>()("DoesNotApply", {
  reason: Schema.String
}) {
  override get message() {
    return `the patch does not apply: ${this.reason}`
  }
}

export interface Copy {
  /** Runs the tests; those that need threads get bundles of this very tree. */
  readonly run: (
    witnesses: ReadonlyArray<Witness>,
    options: {
      readonly needs: ReadonlyArray<Need>
      readonly limit: Duration.Duration
      readonly environment?: Readonly<Record<string, string>>
    }
  ) => Effect.Effect<Ran, NotRun>
  /** With the bug planted until the scope ends. */
  readonly plant: (mutant: Mutant) => Effect.Effect<void, DoesNotApply, Scope.Scope>
}

/** Not what is made from the tree, or belongs to one machine. */
const isCopied =
  (root: string) =>
  (path: string): boolean =>
    basename(path) !== "node_modules" && !leftOut.has(relative(root, path))

const leftOut = new Set([".git", ".cache", ".reprise", "dist", "coverage"])

export const makeCopy = (root: string): Effect.Effect<Copy, never, Scope.Scope> =>
  Effect.gen(function* () {
    // A short path: sockets are made below it.
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "rp-"))),
      (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }))
    )
    const tree = join(directory, "tree")
    yield* Effect.sync(() => {
      cpSync(root, tree, { recursive: true, filter: isCopied(root) })
      symlinkSync(join(root, "node_modules"), join(tree, "node_modules"))
    })

    const run: Copy["run"] = Effect.fnUntraced(function* (witnesses, { environment = {}, limit, needs }) {
      const temporary = join(directory, "t")
      const report = join(directory, "report.json")
      yield* Effect.sync(() => {
        rmSync(report, { force: true })
        mkdirSync(temporary, { recursive: true })
      })
      const ended = yield* vitest(tree, witnesses, report, {
        // What is counted with a bug planted is no figure of the program.
        REPRISE_FIGURES: "",
        ...environment,
        TMPDIR: temporary,
        REPRISE_PROVE_THREADS: needs.includes("threads") ? "1" : "0"
      }).pipe(
        Effect.timeoutOption(limit),
        // What tests left when they were ended in the middle.
        Effect.ensuring(Effect.sync(() => rmSync(temporary, { recursive: true, force: true, maxRetries: 5 })))
      )
      if (Option.isNone(ended))
        return yield* new NotRun({ reason: `its test did not end within ${Duration.format(limit)}` })
      const text = yield* Effect.sync(() => readIfThere(report))
      const read = Schema.decodeOption(Report)(text)
      if (Option.isNone(read))
        return yield* new NotRun({ reason: `vitest ended without a report: ${ended.value.trim()}` })
      return ranOf(tree, read.value)
    })

    const plant: Copy["plant"] = (mutant) =>
      Effect.acquireRelease(
        Effect.try({
          try: () => {
            const changed = mutant.files.map((file) => {
              const path = join(tree, file.path)
              const before = readFileSync(path, "utf8")
              return { path, before, after: applyPatch(before, file) }
            })
            for (const { after, path } of changed) writeFileSync(path, after)
            return changed
          },
          catch: (cause) =>
            new DoesNotApply({ reason: cause instanceof Error ? cause.message : String(cause) })
        }),
        (changed) =>
          Effect.sync(() => {
            for (const { before, path } of changed) writeFileSync(path, before)
          })
      ).pipe(Effect.asVoid)

    return { run, plant }
  })

/** Runs vitest to its end, as the head of a process group that ends with it, or when this is interrupted. Its last words. */
const vitest = (
  tree: string,
  witnesses: ReadonlyArray<Witness>,
  report: string,
  environment: Readonly<Record<string, string>>
): Effect.Effect<string> =>
  Effect.async((resume) => {
    const names = witnesses.map(({ test }) => test.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&"))
    const child = spawn(
      process.execPath,
      [
        join(tree, "node_modules", "vitest", "vitest.mjs"),
        "run",
        ...["--config", "test/mutants/vitest.config.ts"],
        ...["--reporter", "json", "--outputFile", report],
        ...["--testNamePattern", names.join("|")],
        ...new Set(witnesses.map(({ file }) => file))
      ],
      {
        cwd: tree,
        env: { ...process.env, NO_COLOR: "1", ...environment },
        stdio: ["ignore", "pipe", "pipe"],
        detached: true
      }
    )
    let said = ""
    const listen = (text: string) => {
      said = (said + text).slice(-2_000)
    }
    child.stdout.setEncoding("utf8").on("data", listen)
    child.stderr.setEncoding("utf8").on("data", listen)
    const endGroup = () => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL")
      } catch {
        // Nobody of it is left.
      }
    }
    child.on("exit", endGroup)
    child.on("error", (cause) => resume(Effect.succeed(String(cause))))
    child.on("close", () => resume(Effect.succeed(said)))
    return Effect.async<void>((done) => {
      if (child.exitCode !== null || child.signalCode !== null) return done(Effect.void)
      child.on("close", () => done(Effect.void))
      endGroup()
    })
  })

const ranOf = (tree: string, { testResults }: typeof Report.Type): Ran => ({
  results: testResults.flatMap(({ assertionResults, name }) =>
    assertionResults.flatMap(({ failureMessages, fullName, status }) =>
      status === "passed" || status === "failed"
        ? [
            {
              file: relative(tree, name),
              name: fullName,
              status,
              failure: (failureMessages ?? []).join("\n")
            } as const
          ]
        : []
    )
  ),
  unloaded: testResults
    .filter(({ assertionResults }) => assertionResults.length === 0)
    .map(({ message = "", name }) => ({ file: relative(tree, name), reason: message }))
})

const readIfThere = (path: string): string => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return ""
  }
}
