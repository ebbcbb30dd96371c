/** Child processes of tests: an entry under `test/crash`, bundled once, run by Node as it is. */
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { existsSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"

const root = join(import.meta.dirname, "..", "..")

/**
 * Bundles `test/crash/<name>.ts`, once in a run of the suite, which is the process that the test files have in common: a bundle
 * of another run may be of other sources. Answers the path of the script.
 */
export const bundleChild = async (name: string): Promise<string> => {
  const folder = join(root, ".cache", "crash", String(process.ppid), name)
  const script = join(folder, `${name}.cjs`)
  if (existsSync(script)) return script
  const part = `${folder}.${process.pid}`
  const entry = join(root, "test", "crash", `${name}.ts`)
  await promisify(execFile)(process.execPath, [join(root, "scripts", "build.js"), "--child", entry, part])
  try {
    renameSync(part, folder)
  } catch (cause) {
    // Whole or not at all: test files that run side by side bundle the same child, and one of them is first.
    rmSync(part, { recursive: true, force: true })
    if (!existsSync(script)) throw cause
  }
  return script
}

/** The first one that ends by itself keeps what V8 compiled, for those that follow. */
const keeping = (script: string): NodeJS.ProcessEnv =>
  existsSync(script.replace(/\.cjs$/, ".js.code")) ? {} : { KEEP_COMPILED_CODE: "1" }

export interface ChildEnd {
  readonly lines: ReadonlyArray<string>
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly errors: string
  /** It was ended from here, because its time was over. */
  readonly overdue: boolean
}

/** Runs a child to its end, at most `limitMs`; `onLine` sees each line of its output as it comes. */
export const runChild = (
  script: string,
  args: ReadonlyArray<string>,
  options: { readonly limitMs?: number; readonly onLine?: (line: string, child: ChildProcess) => void } = {}
): Promise<ChildEnd> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, [script, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...keeping(script) }
    })
    let overdue = false
    const limit = setTimeout(() => {
      overdue = true
      child.kill("SIGKILL")
    }, options.limitMs ?? 20_000)
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
      resolve({ lines, code, signal, errors, overdue })
    })
  })
