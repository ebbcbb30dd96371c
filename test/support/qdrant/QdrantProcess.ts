/** The double in a process of its own, which other processes share: `test/crash/qdrantChild.ts`. */
import { type ChildProcess, spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { Effect, type Scope } from "effect"
import { bundleChild } from "../bundledChild.ts"
import type { QdrantDoubleOptions } from "./QdrantDouble.ts"
import type { Misbehaviour, Occasion } from "./Server.ts"

/** A line of JSON on the child's input; each is answered by a line, in order. */
export type Command =
  | { readonly do: "misbehave"; readonly misbehaviour: Misbehaviour; readonly occasion?: Occasion }
  | { readonly do: "behave" }
  | { readonly do: "pause"; readonly ms: number }
  | { readonly do: "version"; readonly version: string }
  | { readonly do: "lose" | "empty"; readonly collection: string }
  /** Snapshots are kept by the child under a name. */
  | { readonly do: "snapshot"; readonly name: string }
  | { readonly do: "restore"; readonly name: string; readonly aliases?: "with" | "lost" }
  | { readonly do: "down" | "up" }
  /** Answers how many requests there were, how many points each collection holds, and what the double did wrong. */
  | { readonly do: "state" }

/** What the child prints: first of all its address. */
export interface Answer {
  readonly url: string
  readonly requests: number
  readonly points: Readonly<Record<string, number>>
  readonly violations: ReadonlyArray<string>
}

export interface QdrantProcess {
  readonly url: string
  readonly pid: number
  readonly command: (command: Command) => Effect.Effect<Answer>
  /** SIGKILL: everything it held is gone. */
  readonly kill: Effect.Effect<void>
}

/** Ends with the scope, or with the process that started it. */
export const makeQdrantProcess = (
  options: QdrantDoubleOptions = {}
): Effect.Effect<QdrantProcess, never, Scope.Scope> =>
  Effect.gen(function* () {
    const script = yield* Effect.promise(() => bundleChild("qdrantChild"))
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [script, JSON.stringify(options)], { stdio: ["pipe", "pipe", "inherit"] })
      ),
      (started) => Effect.sync(() => started.kill("SIGKILL"))
    )
    const waiting: Array<(answer: Answer) => void> = []
    createInterface({ input: child.stdout }).on("line", (line) => waiting.shift()?.(JSON.parse(line)))
    const next = Effect.async<Answer>((resume) => {
      waiting.push((answer) => resume(Effect.succeed(answer)))
    }).pipe(
      Effect.timeoutFail({ duration: "30 seconds", onTimeout: () => new Error("The child says nothing.") }),
      Effect.orDie
    )
    const { url } = yield* next
    return {
      url,
      pid: child.pid ?? 0,
      command: (command) =>
        Effect.zipRight(
          Effect.sync(() => child.stdin.write(`${JSON.stringify(command)}\n`)),
          next
        ),
      kill: killed(child)
    }
  })

const killed = (child: ChildProcess): Effect.Effect<void> =>
  Effect.async((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.kill("SIGKILL")
  })
