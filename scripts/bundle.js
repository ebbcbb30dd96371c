/** How code is bundled for Node: the command line, its lazily loaded parts, and worker threads. */
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { build } from "esbuild"
import { asScripts } from "./code.js"

export const root = join(dirname(fileURLToPath(import.meta.url)), "..")

const common = {
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  external: ["better-sqlite3"],
  metafile: true,
  logLevel: "warning"
}

/** What `@effect/cli` imports for options whose values are files in these formats. No command has one. */
const noFileFormats = {
  name: "no-file-formats",
  setup: ({ onLoad, onResolve }) => {
    onResolve({ filter: /^(?:ini|toml|yaml)$/ }, ({ importer, path }) =>
      importer.includes(join("@effect", "cli")) ? { path, namespace: "no-file-formats" } : undefined
    )
    onLoad({ filter: /./, namespace: "no-file-formats" }, ({ path }) => ({
      contents: `export const parse = () => { throw new Error("No option is a file of ${path}.") }; export default { parse }`
    }))
  }
}

const named = /^import \{([^}]*)\} from "(effect|@effect\/(?:cli|platform))"/gmu

/**
 * Imports each module of Effect by itself instead of all by the package's name: through that, whatever any command needs
 * would belong to what all of them load at once, a megabyte more than a search looks at.
 */
const eachModule = {
  name: "each-module",
  setup: ({ onLoad }) => {
    const importOf = (from) => (name) => {
      const [module, local = module] = name.split(" as ")
      return existsSync(join(root, "node_modules", from, "dist", "esm", `${module}.js`))
        ? `import * as ${local} from "${from}/${module}"`
        : `import { ${name} } from "${from}/Function"`
    }
    const imports = (names, from) =>
      names
        .split(",")
        .map((name) => name.trim())
        .filter((name) => name !== "" && !name.startsWith("type "))
        .map(importOf(from))
        .join(";")
    onLoad({ filter: /\.ts$/ }, ({ path }) => ({
      loader: "ts",
      contents: readFileSync(path, "utf8").replaceAll(named, (_, names, from) => imports(names, from))
    }))
  }
}

/** Compiled code is of use only under the flags that it was compiled under: each process of ours sets the same. */
const flags = `// Most of what a command runs it runs seldom: V8 waits longer before it optimises a function, and begins to look for garbage
// in the whole heap at the size that it would begin at by itself, not at half of that. Later a heap has as much room for garbage as
// lives in it, instead of up to three times as much where work is brisk.
const { setFlagsFromString } = require("node:v8")
setFlagsFromString("--interrupt-budget=1200000")
setFlagsFromString("--initial-old-space-size=32")
setFlagsFromString("--heap-growing-percent=100")
`

/** What Node is given to run a script: `<name>.cjs`. A thread has the flags of its process. */
const startedBy = (outDirectory, name, before = "") =>
  writeFileSync(
    join(outDirectory, `${name}.cjs`),
    `${before}require("./load.cjs").load(require("node:path").join(__dirname, "${name}.js"))\n`
  )

/**
 * Every thread entry (src/threads/entries/*.ts): a worker cannot be started from a `.ts` file. Each by itself, because what
 * is shared would hold all that any of them needs. What is imported lazily (an engine's HTTP client) becomes a chunk.
 */
export const buildThreads = async (outDirectory) => {
  const entries = join(root, "src", "threads", "entries")
  const names = readdirSync(entries).filter((file) => file.endsWith(".ts"))
  const built = await Promise.all(
    names.map((file) =>
      build({
        ...common,
        entryPoints: [join(entries, file)],
        outdir: outDirectory,
        splitting: true,
        chunkNames: "chunks/[name]-[hash]"
      })
    )
  )
  asScripts(outDirectory, { outputs: Object.assign({}, ...built.map(({ metafile }) => metafile.outputs)) })
  for (const file of names) startedBy(outDirectory, basename(file, ".ts"))
}

/**
 * A process of the tests, as `<name>.cjs` in the directory: it runs with compiled code that is kept, too, because starting is
 * most of what hundreds of them do.
 */
export const buildChild = async (entry, outDirectory) => {
  const { metafile } = await build({
    ...common,
    external: [...common.external, "typescript"],
    entryPoints: [entry],
    // Threads are looked for from where the sources lie: where the tests' set-up put them.
    define: { "import.meta.url": JSON.stringify(pathToFileURL(entry).href) },
    plugins: [eachModule],
    outdir: outDirectory,
    splitting: true,
    chunkNames: "chunks/[name]-[hash]"
  })
  asScripts(outDirectory, metafile)
  startedBy(outDirectory, basename(entry, ".ts"), flags)
}

/** A script in TypeScript (Node 20 runs none), for this machine alone: packages stay outside, and load as in production. */
export const buildScript = (entry, outfile) =>
  build({
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

/**
 * The command line: importing packages one by one costs 0.75 s, a bundle 0.2 s. What is imported lazily becomes a chunk of
 * its own, so that a command loads what it needs. The entry answers `--version` before anything else is loaded.
 */
export const buildCli = async (outDirectory) => {
  const { metafile } = await build({
    ...common,
    entryPoints: { main: join(root, "src", "cli", "Main.ts"), ahead: join(root, "src", "cli", "Ahead.ts") },
    plugins: [noFileFormats, eachModule],
    outdir: outDirectory,
    splitting: true,
    chunkNames: "chunks/[name]-[hash]"
  })
  asScripts(outDirectory, metafile)
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
  const entry = join(outDirectory, "reprise.js")
  writeFileSync(
    entry,
    `#!/usr/bin/env node
if (process.argv.length === 3 && (process.argv[2] === "--version" || process.argv[2] === "-v")) console.log("${version}")
else import("./start.cjs").then(({ start }) => start())
`
  )
  writeFileSync(
    join(outDirectory, "start.cjs"),
    `${flags}const { load } = require("./load.cjs")
const { join } = require("node:path")
exports.start = () => {
  load(join(__dirname, "ahead.js")).begin(process.argv)
  return load(join(__dirname, "main.js")).main(process.argv)
}
`
  )
  chmodSync(entry, 0o755)
}
