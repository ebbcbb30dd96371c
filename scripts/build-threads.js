/**
 * Bundles every thread entry (src/threads/entries/*.ts) into a directory: `node scripts/build-threads.js <out>`.
 *
 * A worker cannot be started from a `.ts` file, and importing packages one by one costs most of a thread's start.
 */
import { readdirSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"

const root = join(dirname(fileURLToPath(import.meta.url)), "..")
const entries = join(root, "src", "threads", "entries")

export const buildThreads = async (outDirectory) => {
  await build({
    entryPoints: readdirSync(entries)
      .filter((file) => file.endsWith(".ts"))
      .map((file) => join(entries, file)),
    outdir: outDirectory,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    external: ["better-sqlite3"],
    sourcemap: "linked",
    // Some packages are CommonJS and ask for Node's modules with `require`, which an ES module does not have.
    banner: {
      js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);'
    },
    logLevel: "warning"
  })
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await buildThreads(resolve(process.argv[2] ?? join(root, ".cache", "threads")))
}
