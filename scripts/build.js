/**
 * Builds the package into dist/: the library with its types (tsc), the command line and the worker threads (esbuild).
 * With `--bundles <directory>` only the latter two, into that directory: what tests need, which run the sources. With
 * `--child <entry> <directory>` a process of theirs.
 */
import { spawnSync } from "node:child_process"
import { rmSync } from "node:fs"
import { join, resolve } from "node:path"
import { buildChild, buildCli, buildThreads, root } from "./bundle.js"
import { keepCode } from "./code.js"

if (process.argv[2] === "--child") {
  const [entry, directory] = process.argv.slice(3)
  await buildChild(resolve(entry), resolve(directory))
  process.exit()
}

const bundles = process.argv.indexOf("--bundles")
const out = bundles === -1 ? join(root, "dist") : resolve(process.argv[bundles + 1] ?? "")

rmSync(out, { recursive: true, force: true })

if (bundles === -1) {
  const tsc = spawnSync(
    process.execPath,
    [join(root, "node_modules", "typescript", "bin", "tsc"), "-p", join(root, "tsconfig.build.json")],
    { stdio: "inherit" }
  )
  if (tsc.status !== 0) process.exit(tsc.status ?? 1)
}
await Promise.all([buildThreads(join(out, "threads")), buildCli(join(out, "bin"))])
keepCode(join(out, "bin", "reprise.js"))
