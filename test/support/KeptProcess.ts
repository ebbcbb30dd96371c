/** The command line as a process that is started again whenever it ends: what `restart: unless-stopped` does. */
import { type ChildProcess, spawn } from "node:child_process"
import { join } from "node:path"
import { Deferred, Effect, type Scope } from "effect"

/** Bundled by the tests' set-up. */
const program = join(import.meta.dirname, "..", "..", ".cache", "bin", "reprise.js")

/** An end that nobody here asked for. */
export interface ProcessEnd {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** The last of what it wrote. */
  readonly said: string
}

export interface KeptProcess {
  readonly name: string
  readonly pid: () => number
  readonly starts: () => number
  readonly ends: ReadonlyArray<ProcessEnd>
  /** The last of what its present start wrote. */
  readonly said: () => string
  /** Until the present start, or the next one, has printed its first line; at most a minute. */
  readonly ready: Effect.Effect<void>
  /** SIGKILL: it is back soon. */
  readonly kill: Effect.Effect<void>
  readonly freeze: Effect.Effect<void>
  readonly thaw: Effect.Effect<void>
  /** SIGTERM, for good: its exit code. */
  readonly stop: Effect.Effect<number | null>
}

export interface KeptOptions {
  readonly name: string
  readonly command: ReadonlyArray<string>
  readonly environment: Readonly<Record<string, string>>
  readonly directory: string
}

/** As Docker waits: longer after each end, anew once it stayed for ten seconds. */
const firstPauseMs = 100
const longestPauseMs = 2_000

interface Start {
  readonly child: ChildProcess
  readonly ready: Deferred.Deferred<void>
  readonly closed: Deferred.Deferred<void>
  said: string
  asked: boolean
}

export const keptProcess = (options: KeptOptions): Effect.Effect<KeptProcess, never, Scope.Scope> =>
  Effect.gen(function* () {
    const ends: Array<ProcessEnd> = []
    let starts = 0
    let stopping = false
    let now: Start | undefined

    const begin = Effect.gen(function* () {
      const ready = yield* Deferred.make<void>()
      const closed = yield* Deferred.make<void>()
      const { PATH = "" } = process.env
      const child = spawn(process.execPath, [program, ...options.command], {
        cwd: options.directory,
        env: { PATH, HOME: options.directory, ...options.environment },
        stdio: ["ignore", "pipe", "pipe"]
      })
      const start: Start = { child, ready, closed, said: "", asked: false }
      const hear = (text: string) => {
        start.said = (start.said + text).slice(-4_000)
      }
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        hear(text)
        if (text.includes("\n")) Deferred.unsafeDone(ready, Effect.void)
      })
      child.stderr.setEncoding("utf8").on("data", hear)
      child.on("close", () => Deferred.unsafeDone(closed, Effect.void))
      starts++
      now = start
      return start
    })

    const life = Effect.gen(function* () {
      let pause = firstPauseMs
      while (!stopping) {
        const began = performance.now()
        const start = yield* begin
        yield* Deferred.await(start.closed)
        const { exitCode, signalCode } = start.child
        if (!start.asked) ends.push({ code: exitCode, signal: signalCode, said: start.said })
        pause = performance.now() - began > 10_000 ? firstPauseMs : Math.min(longestPauseMs, pause * 2)
        yield* Effect.sleep(pause)
      }
    })
    const present = Effect.suspend(() =>
      now === undefined ? Effect.die(`${options.name} was never started`) : Effect.succeed(now)
    )
    const signal = (name: NodeJS.Signals) => Effect.sync(() => void now?.child.kill(name))
    /** Its end is one that was asked for, and waited for. */
    const end = (name: NodeJS.Signals) =>
      Effect.flatMap(present, (start) =>
        Effect.suspend(() => {
          start.asked = true
          start.child.kill(name)
          return Deferred.await(start.closed)
        }).pipe(Effect.as(start))
      )
    const ready: Effect.Effect<void> = Effect.suspend(() => present).pipe(
      Effect.flatMap((start) =>
        // One that ended is no longer ready; the next start is looked for a little later.
        Effect.raceFirst(
          Effect.as(Effect.delay(Deferred.await(start.closed), "50 millis"), false),
          Effect.delay(Deferred.await(start.ready), "100 millis").pipe(
            Effect.zipRight(Effect.map(Deferred.isDone(start.closed), (over) => !over))
          )
        )
      ),
      Effect.repeat({ until: (is) => is }),
      Effect.timeoutFail({
        duration: "60 seconds",
        onTimeout: () => new Error(`${options.name} is not ready: ${now?.said ?? ""}`)
      }),
      Effect.orDie,
      Effect.asVoid
    )
    yield* Effect.addFinalizer(() => signal("SIGKILL"))
    yield* Effect.forkScoped(life)
    yield* Effect.yieldNow()
    return {
      name: options.name,
      pid: () => now?.child.pid ?? 0,
      starts: () => starts,
      ends,
      said: () => now?.said ?? "",
      ready,
      kill: Effect.asVoid(end("SIGKILL")),
      freeze: signal("SIGSTOP"),
      thaw: signal("SIGCONT"),
      stop: Effect.suspend(() => {
        stopping = true
        return end("SIGTERM")
      }).pipe(
        Effect.timeoutFail({
          duration: "60 seconds",
          onTimeout: () => new Error(`${options.name} does not stop: ${now?.said ?? ""}`)
        }),
        Effect.orDie,
        Effect.map(({ child }) => child.exitCode)
      )
    }
  })
