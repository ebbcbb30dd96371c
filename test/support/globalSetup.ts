/** Bundles worker threads and the command line once, where code that runs from its sources looks for them. */
import { execFile } from "node:child_process"
import { join } from "node:path"
import { promisify } from "node:util"

const root = join(import.meta.dirname, "..", "..")

export default async (): Promise<void> => {
  await promisify(execFile)(process.execPath, [
    join(root, "scripts", "build.js"),
    "--bundles",
    join(root, ".cache")
  ])
}
