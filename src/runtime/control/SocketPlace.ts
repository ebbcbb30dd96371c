/**
 * Where a server listens for commands of its own machine: a socket in the data directory, in a folder that only its owner
 * may enter. A path of a socket is short by nature (108 bytes on Linux, 104 elsewhere, with its closing zero): where the
 * data directory's is too long, the socket lies in the run-time folder and a file in the data directory says where.
 */
import { createHash } from "node:crypto"
import { chmodSync, lstatSync, readFileSync, rmSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Schema, type Scope } from "effect"
import { makeFolder } from "../../log/Folders.ts"
import { replaceFile } from "../../log/HeadFile.ts"

const longestPath = 103

/** The place for the socket cannot be used. */
export class SocketRefused extends Schema.TaggedError<SocketRefused>()("SocketRefused", {
  path: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `The server cannot listen for commands at ${this.path}: ${this.detail}. Remove it, or name another place in XDG_RUNTIME_DIR.`
  }
}

const folderIn = (directory: string): string => join(directory, "serve")
const pointerIn = (directory: string): string => join(folderIn(directory), "socket-path")

const isShort = (path: string): boolean => Buffer.byteLength(path) <= longestPath

/** Where a server of this data directory listens, if one does. */
export const socketOf = (directory: string): string | undefined => {
  const folder = folderIn(directory)
  const here = join(folder, "socket")
  if (isShort(here)) return isOf(folder, here) ? here : undefined
  try {
    const path = readFileSync(pointerIn(directory), "utf8").trim()
    return isOf(folder, path) ? path : undefined
  } catch {
    return undefined
  }
}

/**
 * A socket of whoever made the folder. What a dead server's pointer names may have been swept, and made anew by somebody
 * else: commands given there would be heard by a stranger, and answered as if they had been carried out.
 */
const isOf = (folder: string, path: string): boolean => {
  const found = lstatSync(path, { throwIfNoEntry: false })
  return found?.isSocket() === true && found.uid === lstatSync(folder, { throwIfNoEntry: false })?.uid
}

/** Somebody accepts connections there. What a dead process left refuses them. */
export const isAlive = (path: string): Effect.Effect<boolean> =>
  Effect.async((resume) => {
    const socket = connect(path)
    socket.once("connect", () => {
      socket.destroy()
      resume(Effect.succeed(true))
    })
    socket.once("error", () => resume(Effect.succeed(false)))
    return Effect.sync(() => socket.destroy())
  })

/**
 * Makes the place ready for listening and clears it afterwards. To be called by the directory's one writer: whatever is
 * there was left by a process that is gone.
 */
export const claimSocket = (
  directory: string,
  environment: Readonly<Record<string, string | undefined>>
): Effect.Effect<string, SocketRefused, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      const folder = folderIn(directory)
      const here = join(folder, "socket")
      const elsewhere = join(runtimeFolder(directory, environment), "socket")
      const path = isShort(here) ? here : elsewhere
      return Effect.try({
        try: () => {
          ownFolder(folder)
          if (path === elsewhere) {
            ownFolder(join(elsewhere, ".."))
            replaceFile(pointerIn(directory), `${path}\n`, { sync: false })
          } else rmSync(pointerIn(directory), { force: true })
          rmSync(path, { force: true })
          return path
        },
        catch: (cause) =>
          new SocketRefused({ path, detail: cause instanceof Error ? cause.message : String(cause) })
      })
    }),
    (path) =>
      Effect.sync(() => {
        rmSync(folderIn(directory), { recursive: true, force: true })
        if (!path.startsWith(directory)) rmSync(join(path, ".."), { recursive: true, force: true })
      })
  )

const runtimeFolder = (
  directory: string,
  environment: Readonly<Record<string, string | undefined>>
): string => {
  const name = `reprise-${createHash("sha256").update(directory).digest("hex").slice(0, 16)}`
  const given = environment["XDG_RUNTIME_DIR"] ?? ""
  const folder = join(given, name)
  return given.startsWith("/") && isShort(join(folder, "socket")) ? folder : join(tmpdir(), name)
}

/** Made for its owner alone. One that somebody else made first is refused: it would be theirs to look into. */
const ownFolder = (path: string): void => {
  makeFolder(path, { mode: 0o700 })
  const found = lstatSync(path)
  if (!found.isDirectory() || found.uid !== (process.getuid?.() ?? found.uid))
    throw new Error(`${path} belongs to somebody else`)
  chmodSync(path, 0o700)
}
