/**
 * Builds the package into dist/: the library with its types (tsc), the command line as one bundle behind a small entry
 * that answers `--version` before anything else is loaded, and the worker threads' entries (esbuild).
 */
import { spawnSync } from "node:child_process"
import { chmodSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"
import { buildThreads, bundle } from "./build-threads.js"

const root = join(dirname(fileURLToPath(import.meta.url)), "..")
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

rmSync(join(root, "dist"), { recursive: true, force: true })

const tsc = spawnSync(
  process.execPath,
  [join(root, "node_modules", "typescript", "bin", "tsc"), "-p", join(root, "tsconfig.build.json")],
  { stdio: "inherit" }
)
if (tsc.status !== 0) process.exit(tsc.status ?? 1)

await buildThreads(join(root, "dist", "threads"))
await build({
  ...bundle,
  entryPoints: [join(root, "src", "cli", "Main.ts")],
  outfile: join(root, "dist", "bin", "main.js")
})

const bin = join(root, "dist", "bin", "reprise.js")
writeFileSync(
  bin,
  `#!/usr/bin/env node
if (process.argv.length === 3 && (process.argv[2] === "--version" || process.argv[2] === "-v")) console.log("${version}")
else import("./main.js").then(({ main }) => main(process.argv))
`
)
chmodSync(bin, 0o755)
