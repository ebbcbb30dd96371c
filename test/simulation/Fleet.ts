/** Schedules in several processes at a time: each is one thread's work, and code in a bundle runs faster than transformed. */
import { spawn } from "node:child_process"
import { existsSync, mkdirSync, rmSync } from "node:fs"
import { constants, setPriority } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { build, type Plugin } from "esbuild"
import type { Line } from "./Worker.ts"

export interface Asked {
  /** The bundle of `Worker.ts`. */
  readonly bundle: string
  readonly from: number
  readonly count: number
  readonly jobs: number
  readonly limitMs: number
  /** Where a worker ends early. */
  readonly mostBroken: number
  readonly shrinking: boolean
  /** Whether everything else on the machine goes first. */
  readonly yields: boolean
}

export interface Ran {
  readonly ran: number
  readonly steps: number
  readonly cpuMs: number
  readonly broken: ReadonlyArray<Extract<Line, { readonly kind: "broken" }>>
}

/**
 * The fewer collections of short-lived objects, the fewer that are taken for long-lived ones. Threads that help V8 to collect
 * take more time than they spare the one that runs: each core has a worker of its own. What hundreds of schedules run
 * is worth optimising early, what a dozen run is not.
 */
const flagsFor = (schedules: number): ReadonlyArray<string> => [
  "--min-semi-space-size=64",
  "--max-semi-space-size=64",
  "--single-threaded-gc",
  `--interrupt-budget=${schedules > 300 ? 30_000 : 600_000}`
]

/** Where a product puts what it computes anew: in memory as its directories, since no disk is under test here. */
const memory = "/dev/shm"
const room = existsSync(memory) ? { TMPDIR: memory } : {}

export const runFleet = async (asked: Asked): Promise<Ran> => {
  const { from, jobs } = asked
  const all = await Promise.all(
    Array.from({ length: Math.min(jobs, asked.count) }, (_, at) =>
      runWorker(asked, from + at, Math.ceil((asked.count - at) / jobs))
    )
  )
  const total = (of: "ran" | "steps" | "cpuMs"): number => all.reduce((sum, one) => sum + one[of], 0)
  return {
    ran: total("ran"),
    steps: total("steps"),
    cpuMs: total("cpuMs"),
    broken: all.flatMap(({ broken }) => broken).sort((one, other) => one.seed - other.seed)
  }
}

const runWorker = (
  { bundle, jobs, limitMs, mostBroken, shrinking, yields }: Asked,
  first: number,
  count: number
): Promise<Ran> =>
  new Promise((resolve, reject) => {
    const args = [first, jobs, count, limitMs, mostBroken, shrinking ? 1 : 0].map(String)
    const child = spawn(process.execPath, [...flagsFor(count), bundle, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...room }
    })
    if (yields && child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_LOW)
    let sum = { ran: 0, steps: 0, cpuMs: 0 }
    const broken: Array<Extract<Line, { readonly kind: "broken" }>> = []
    let said = ""
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-4000)
    })
    createInterface({ input: child.stdout }).on("line", (text) => {
      const line: Line = JSON.parse(text)
      if (line.kind === "sum") sum = line
      else broken.push(line)
    })
    child.on("error", reject)
    const end = () => child.kill("SIGKILL")
    process.once("exit", end)
    child.on("close", (code) => {
      process.removeListener("exit", end)
      if (code === 0) resolve({ ...sum, broken })
      else reject(new Error(`The worker from seed ${first} ended with ${code} after ${sum.ran}: ${said}`))
    })
  })

/** A folder for bundles that goes with this process. */
export const bundleFolder = (root: string): string => {
  const folder = join(root, ".cache", `simulation-${process.pid}`)
  if (!existsSync(folder)) {
    mkdirSync(folder, { recursive: true })
    process.once("exit", () => rmSync(folder, { recursive: true, force: true }))
  }
  return folder
}

/** `plugins` may give sources other contents. */
export const bundleWorker = async (
  root: string,
  outfile: string,
  plugins: ReadonlyArray<Plugin> = []
): Promise<void> => {
  await build({
    absWorkingDir: root,
    entryPoints: [join(root, "test", "simulation", "Worker.ts")],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    packages: "external",
    logLevel: "warning",
    plugins: [...plugins]
  })
}
