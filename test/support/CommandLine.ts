/** Runs the command line in this process, with an outside of its own. */
import { Deferred, Effect } from "effect"
import { Io } from "../../src/cli/Io.ts"
import { quietly } from "../../src/cli/Logging.ts"
import { program } from "../../src/cli/Program.ts"

export interface Outside {
  readonly cwd: string
  readonly environment?: Readonly<Record<string, string>>
  readonly terminal?: boolean
  readonly stop?: Deferred.Deferred<void>
}

export interface Ended {
  readonly code: number
  readonly out: string
  readonly err: string
}

export const run = (words: ReadonlyArray<string>, outside: Outside): Effect.Effect<Ended> =>
  Effect.gen(function* () {
    const out: Array<string> = []
    const err: Array<string> = []
    const into = (parts: Array<string>) => (text: string) => Effect.sync(() => void parts.push(text))
    const stop = outside.stop ?? (yield* Deferred.make<void>())
    const terminal = outside.terminal ?? false
    const code = yield* program(words).pipe(
      quietly,
      Effect.provideService(Io, {
        out: into(out),
        err: into(err),
        input: () => ({
          [Symbol.asyncIterator]: () => ({ next: () => Promise.resolve({ done: true, value: undefined }) })
        }),
        outIsTerminal: terminal,
        errIsTerminal: terminal,
        columns: 100,
        environment: outside.environment ?? {},
        cwd: outside.cwd,
        home: outside.cwd,
        version: "0.0.0",
        stop,
        terminated: Effect.succeed(false)
      })
    )
    return { code, out: out.join(""), err: err.join("") }
  })

/** Runs with `--json` and answers the one object that it prints. */
export const json = (words: ReadonlyArray<string>, outside: Outside) =>
  Effect.map(run(["--json", ...words], outside), ({ code, err, out }) => {
    if (!/^[^\n]+\n$/.test(out))
      throw new Error(`Not one line of JSON: ${JSON.stringify({ out, err, code })}`)
    return { code, err, value: JSON.parse(out) }
  })
