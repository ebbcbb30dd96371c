/** A process that searches while a test does something else: `test/crash/searchingChild.ts`. */
import { spawn } from "node:child_process"
import { Effect, type Scope } from "effect"
import { bundleChild } from "./bundledChild.ts"

export interface Seen {
  readonly degraded: boolean
  readonly generation: string | null
  readonly indexedPosition: number
  readonly hits: ReadonlyArray<string>
}

export interface SecondProcess {
  readonly seen: ReadonlyArray<Seen>
  /** Searches that failed, and what the process wrote on standard error. */
  readonly failures: ReadonlyArray<string>
  /** Waits until an answer from here on is as asked; at most 60 s. */
  readonly until: (is: (one: Seen) => boolean) => Effect.Effect<Seen>
}

/** Searches ten times a second until the scope closes. */
export const searchingProcess = (
  directory: string,
  settings: object,
  mode: string,
  query: string
): Effect.Effect<SecondProcess, never, Scope.Scope> =>
  Effect.gen(function* () {
    const script = yield* Effect.promise(() => bundleChild("searchingChild"))
    const seen: Array<Seen> = []
    const failures: Array<string> = []
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const child = spawn(process.execPath, [script, directory, JSON.stringify(settings), mode, query], {
          stdio: ["ignore", "pipe", "pipe"]
        })
        let rest = ""
        child.stdout.setEncoding("utf8").on("data", (text: string) => {
          const lines = (rest + text).split("\n")
          rest = lines.pop() ?? ""
          for (const line of lines) {
            const said = JSON.parse(line)
            if ("failed" in said) failures.push(said.failed)
            else seen.push(said)
          }
        })
        child.stderr.setEncoding("utf8").on("data", (text: string) => failures.push(text))
        return child
      }),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )
    const until = (is: (one: Seen) => boolean) =>
      Effect.gen(function* () {
        const from = seen.length
        while (true) {
          const found = seen.slice(from).find(is)
          if (found !== undefined) return found
          yield* Effect.sleep("20 millis")
        }
      }).pipe(
        Effect.timeoutFail({
          duration: "60 seconds",
          onTimeout: () =>
            new Error(`Not seen in 60 s. Last: ${JSON.stringify(seen.at(-1))}; ${failures.join("; ")}`)
        }),
        Effect.orDie
      )
    return { seen, failures, until }
  })
