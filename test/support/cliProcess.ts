/** The bundled command line as processes of a test. */
import { type ChildProcess, spawn } from "node:child_process"
import { join } from "node:path"
import { assert } from "@effect/vitest"

/** Where the tests' set-up puts the bundles. */
export const bundles = join(import.meta.dirname, "..", "..", ".cache")
export const cli = join(bundles, "bin", "reprise.js")

export interface CliEnd {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly out: string
  readonly err: string
}

export interface CliProcess {
  readonly child: ChildProcess
  readonly ended: Promise<CliEnd>
  /** Waits, 20 s at most, until it holds; fails with what the process printed. */
  readonly seen: (what: () => boolean) => Promise<void>
  /** Standard output so far. */
  readonly out: () => string
}

/** Those that were started and have not ended. */
export class CliProcesses {
  readonly #children = new Set<ChildProcess>()

  /** In `folder`, its home as well; of the surroundings only `environment` and the path reach it. */
  start(
    words: ReadonlyArray<string>,
    options: {
      readonly folder: string
      readonly environment: Readonly<Record<string, string>>
      readonly script?: string
    }
  ): CliProcess {
    const { environment, folder, script = cli } = options
    const child = spawn(process.execPath, [script, ...words], {
      cwd: folder,
      env: { PATH: process.env["PATH"], HOME: folder, ...environment },
      stdio: ["ignore", "pipe", "pipe"]
    })
    this.#children.add(child)
    let out = ""
    let err = ""
    child.stdout.on("data", (part: Buffer) => {
      out += part.toString()
    })
    child.stderr.on("data", (part: Buffer) => {
      err += part.toString()
    })
    const ended = new Promise<CliEnd>((resolve) => {
      child.on("close", (code, signal) => {
        this.#children.delete(child)
        resolve({ code, signal, out, err })
      })
    })
    const seen = async (what: () => boolean) => {
      for (let tries = 0; tries < 1000 && !what(); tries++) await new Promise((wake) => setTimeout(wake, 20))
      assert.isTrue(what(), `It did not come to that: ${JSON.stringify({ out, err })}`)
    }
    return { child, ended, seen, out: () => out }
  }

  killAll(): void {
    for (const child of this.#children) child.kill("SIGKILL")
    this.#children.clear()
  }
}
