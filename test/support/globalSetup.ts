/** Bundles the thread entries once, where `entryPath` looks for them when the code runs from its sources. */
import { execFile } from "node:child_process"
import { join } from "node:path"
import { promisify } from "node:util"

const root = join(import.meta.dirname, "..", "..")

export default async (): Promise<void> => {
  await promisify(execFile)(process.execPath, [
    join(root, "scripts", "build-threads.js"),
    join(root, ".cache", "threads")
  ])
}
