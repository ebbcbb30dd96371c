/** Child processes of tests: an entry under `test/crash`, bundled once, run by Node as it is. */
import { type ChildProcess, spawn } from "node:child_process"
import { renameSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { build } from "esbuild"

const root = join(import.meta.dirname, "..", "..")

/** Bundles `test/crash/<name>.ts`; answers the path of the script. */
export const bundleChild = async (name: string): Promise<string> => {
  const entry = join(root, "test", "crash", `${name}.ts`)
  const script = join(root, ".cache", "crash", `${name}.js`)
  const outfile = `${script}.${process.pid}`
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    external: ["better-sqlite3", "typescript"],
    // Threads are looked for from where the sources lie: where the tests' set-up put them.
    define: { "import.meta.url": JSON.stringify(pathToFileURL(entry).href) },
    banner: {
      js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);'
    },
    logLevel: "warning"
  })
  // Whole or not at all: test files that run side by side bundle the same child.
  renameSync(outfile, script)
  return script
}

export interface ChildEnd {
  readonly lines: ReadonlyArray<string>
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly errors: string
}

/** Runs a child to its end, at most `limitMs`; `onLine` sees each line of its output as it comes. */
export const runChild = (
  script: string,
  args: ReadonlyArray<string>,
  options: { readonly limitMs?: number; readonly onLine?: (line: string, child: ChildProcess) => void } = {}
): Promise<ChildEnd> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, [script, ...args], { stdio: ["ignore", "pipe", "pipe"] })
    const limit = setTimeout(() => child.kill("SIGKILL"), options.limitMs ?? 20_000)
    const lines: Array<string> = []
    let rest = ""
    let errors = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      const parts = (rest + text).split("\n")
      rest = parts.pop() ?? ""
      for (const line of parts) {
        lines.push(line)
        options.onLine?.(line, child)
      }
    })
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      errors += text
    })
    child.on("close", (code, signal) => {
      clearTimeout(limit)
      resolve({ lines, code, signal, errors })
    })
  })
