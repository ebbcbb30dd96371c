/**
 * Runs a benchmark: `node scripts/bench.js <name> [arguments]` bundles `bench/<name>.ts` (Node 20 runs no TypeScript) and
 * runs it. Packages stay outside of the bundle, so that native modules load as they do in production.
 */
import { spawnSync } from "node:child_process"
import { existsSync, readdirSync, rmSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"
import { buildThreads } from "./bundle.js"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const [name, ...rest] = process.argv.slice(2)
const entry = join(root, "bench", `${name}.ts`)

if (name === undefined || !/^[a-z][a-zA-Z0-9-]*$/.test(name) || !existsSync(entry)) {
  const names = readdirSync(join(root, "bench"))
    .filter((file) => file.endsWith(".ts"))
    .map((file) => file.slice(0, -3))
  console.error(`Usage: node scripts/bench.js <${names.join(" | ")}> [arguments]`)
  process.exit(2)
}

const outfile = join(root, ".cache", "bench", `${name}-${process.pid}.mjs`)
await build({
  entryPoints: [entry],
  outfile,
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  packages: "external",
  sourcemap: "inline",
  logLevel: "warning"
})
await buildThreads(join(root, "dist", "threads"))
const { signal, status } = spawnSync(process.execPath, ["--enable-source-maps", outfile, ...rest], {
  cwd: root,
  stdio: "inherit"
})
rmSync(outfile, { force: true })
process.exit(signal === null ? (status ?? 1) : 1)
