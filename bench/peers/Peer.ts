/** Other programs that do a part of the same work, each a process of its own: `bench/peers/<name>.js`. */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"

const peers = join(process.cwd(), "bench", "peers")

/** Numbers by name, from the last line that the peer prints; `undefined` where it is not installed. `flags` are Node's. */
export const askPeer = (
  name: string,
  args: ReadonlyArray<string>,
  flags: ReadonlyArray<string> = []
): Record<string, number> | undefined => {
  if (!existsSync(join(peers, "node_modules"))) return undefined
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    [...flags, join(peers, `${name}.js`), ...args],
    {
      encoding: "utf8",
      maxBuffer: 1 << 26
    }
  )
  if (status !== 0) throw new Error(`The peer ${name} ended with ${status}: ${stderr.slice(-2000)}`)
  const numbers: Record<string, number> = JSON.parse(stdout.trim().split("\n").at(-1) ?? "{}")
  return numbers
}
