/** Planted bugs under simulated schedules: the first seed that a bug does not survive, and the promise that it broke. */
import { readFileSync } from "node:fs"
import { join, relative } from "node:path"
import { build, type Plugin } from "esbuild"
import { bundleFolder, bundleWorker, type Ran, runFleet } from "../simulation/Fleet.ts"
import type { Mutant } from "./Mutant.ts"
import { applyPatch } from "./Patch.ts"

export interface Simulated {
  readonly name: string
  /** The seed that shows it, and what was broken; none where it survived them all. */
  readonly died: { readonly seed: number; readonly broken: string } | undefined
  /** Schedules that it lived through. */
  readonly ran: number
}

export interface SimulationAsked {
  readonly from: number
  /** For each bug. */
  readonly seeds: number
  /** For each bug. */
  readonly limitMs: number
}

/** Gives the sources that it changes their contents with the bug, as they are bundled. */
const planted = (root: string, { files, name }: Mutant): Plugin => ({
  name,
  setup: ({ onLoad }) => {
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const patch = files.find((file) => join(root, file.path) === path)
      return patch === undefined
        ? undefined
        : { contents: applyPatch(readFileSync(path, "utf8"), patch), loader: "ts" }
    })
  }
})

/** The bugs in code that the simulation runs. */
export const simulatable = async (
  root: string,
  mutants: ReadonlyArray<Mutant>
): Promise<ReadonlyArray<Mutant>> => {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [join(root, "test", "simulation", "Worker.ts")],
    bundle: true,
    write: false,
    metafile: true,
    platform: "node",
    format: "esm",
    packages: "external"
  })
  const run = new Set(Object.keys(metafile.inputs).map((path) => relative(root, join(root, path))))
  return mutants.filter(({ files }) => files.every(({ path }) => run.has(path)))
}

export const simulate = async (root: string, mutant: Mutant, asked: SimulationAsked): Promise<Simulated> => {
  const { name } = mutant
  const bundle = join(bundleFolder(root), `${name}.mjs`)
  const ran = await (async (): Promise<Ran | string> => {
    try {
      await bundleWorker(root, bundle, [planted(root, mutant)])
      return await runFleet({
        bundle,
        from: asked.from,
        count: asked.seeds,
        jobs: 1,
        limitMs: asked.limitMs,
        mostBroken: 1,
        shrinking: false,
        yields: false
      })
    } catch (cause) {
      return String(cause)
    }
  })()
  if (typeof ran === "string") return { name, died: { seed: asked.from, broken: ran.slice(0, 300) }, ran: 0 }
  const [first] = ran.broken
  return { name, died: first, ran: ran.ran }
}
