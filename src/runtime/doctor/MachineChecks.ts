/** What the machine must offer: Node, SQLite, a disk that keeps what it is given. */
import { rmSync } from "node:fs"
import { statfs } from "node:fs/promises"
import { dirname, join } from "node:path"
import { Effect } from "effect"
import { openForWriting, synchronousOf } from "../../log/LogDatabase.ts"
import { nativeModule } from "../NativeModule.ts"
import { type Finding, failed, guarded, ok } from "./Check.ts"

/** What tests replace. */
export interface Machine {
  /** `20.19.0`. */
  readonly node: string
  readonly nativeModule: typeof nativeModule
  /** Bytes that an unprivileged process may still write below a directory. */
  readonly freeBytes: (directory: string) => Promise<number>
  /** The value of `PRAGMA synchronous` on a writing connection in a directory. */
  readonly synchronous: (directory: string) => number
}

const leastNode = [20, 19] as const

export const thisMachine: Machine = {
  node: process.versions.node,
  nativeModule,
  freeBytes: async (directory) => {
    const { bavail, bsize } = await statfs(directory)
    return bavail * bsize
  },
  synchronous: (directory) => {
    const path = join(directory, `doctor-${process.pid}.sqlite`)
    try {
      const db = openForWriting(path)
      try {
        db.exec("CREATE TABLE probe (one INTEGER); INSERT INTO probe VALUES (1)")
        return synchronousOf(db)
      } finally {
        db.close()
      }
    } finally {
      for (const suffix of ["", "-wal", "-shm", "-journal"]) rmSync(`${path}${suffix}`, { force: true })
    }
  }
}

export const nodeCheck = ({ node }: Machine): Finding => {
  const [major = 0, minor = 0] = node.split(".").map(Number)
  const [leastMajor, leastMinor] = leastNode
  return major > leastMajor || (major === leastMajor && minor >= leastMinor)
    ? ok("node", `Node ${node}`)
    : failed(
        "node",
        `Node ${node} is older than ${leastNode.join(".")}`,
        "Install a current Node: https://nodejs.org"
      )
}

export const nativeCheck = (machine: Machine): Effect.Effect<Finding> =>
  guarded(
    "sqlite",
    "npm rebuild better-sqlite3",
    Effect.map(machine.nativeModule, (version) => ok("sqlite", `better-sqlite3 loads, SQLite ${version}`))
  )

/** A WAL may be as large as what it is checkpointed into, and a replay holds two generations. */
const leastFreeBytes = 256 * 1024 * 1024

export const spaceCheck = (machine: Machine, directory: string, usedBytes: number): Effect.Effect<Finding> =>
  guarded(
    "disk",
    "Check that the disk is mounted and readable.",
    Effect.map(
      Effect.tryPromise({
        try: () => machine.freeBytes(directory),
        catch: (cause) => (cause instanceof Error ? cause : new Error(String(cause)))
      }),
      (free) => {
        const needed = Math.max(leastFreeBytes, usedBytes)
        const detail = `${mebibytes(free)} free in ${directory}`
        return free >= needed
          ? ok("disk", detail)
          : failed(
              "disk",
              `${detail}; a replay may need ${mebibytes(needed)}`,
              "Free space on this disk, or move the data directory while nothing is running."
            )
      }
    )
  )

const mebibytes = (bytes: number): string => `${Math.floor(bytes / 1048576).toLocaleString("en-US")} MiB`

export const durabilityCheck = (machine: Machine, directory: string): Effect.Effect<Finding> =>
  guarded(
    "durability",
    "Keep the data directory on a local disk that this user may write to; network file systems cannot be trusted with it.",
    Effect.try({
      try: () => {
        const synchronous = machine.synchronous(directory)
        return synchronous === 2
          ? ok("durability", "writes are in WAL mode with synchronous=FULL: acknowledged is on disk")
          : failed(
              "durability",
              `a writing connection has synchronous=${synchronous}, not 2 (FULL): a power cut loses acknowledged writes`,
              "Use the better-sqlite3 that the package's lock file names: npm ci"
            )
      },
      catch: (cause) => (cause instanceof Error ? cause : new Error(String(cause)))
    })
  )

/** The nearest directory that exists: where a data directory would be made. */
export const existingAbove = (path: string, exists: (path: string) => boolean): string =>
  exists(path) || dirname(path) === path ? path : existingAbove(dirname(path), exists)
