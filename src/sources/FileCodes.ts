/** What the file system says, in words. Loads nothing: the thread that looks at files needs this, too. */
import type { FileRead } from "./FileTree.ts"

const meanings: { readonly [code: string]: string } = {
  EACCES: "permission denied",
  EPERM: "not permitted",
  ENOENT: "it does not exist",
  ENOTDIR: "a part of the path is not a directory",
  EISDIR: "it is a directory",
  ELOOP: "symbolic links lead in a circle, or it became a link",
  ENAMETOOLONG: "the path is too long for the file system",
  EIO: "the device reports an input or output error",
  EMFILE: "this process has too many files open",
  ENFILE: "the system has too many files open",
  ESTALE: "the network file system lost it",
  ENXIO: "there is no device behind it",
  ENODEV: "the device is gone"
}

/** A sentence for a code of the file system, with the code. */
export const meaning = (code: string): string => {
  const known = meanings[code]
  return known === undefined ? code : `${known} (${code})`
}

/** With these the medium itself failed: what else a scan says about the source proves nothing. */
const broken: ReadonlySet<string> = new Set([
  "EIO",
  "ENXIO",
  "ENODEV",
  "ESTALE",
  "ETIMEDOUT",
  "EMFILE",
  "ENFILE",
  "ENOMEM"
])

export const isBroken = (code: string): boolean => broken.has(code)

export const codeOf = (cause: unknown): string =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : String(cause)

/** A file that changes while it is read is tried this often, with a pause between. */
export const readAttempts = 3
export const readPauseMs = 20

/** Why a file was not read, by a code and in words. */
export const whyUnreadable = (
  read: Exclude<FileRead, { readonly _tag: "Read" }>,
  maxBytes: number
): { readonly code: string; readonly detail: string } => {
  switch (read._tag) {
    case "Changed":
      return {
        code: "FileChanged",
        detail: "It changed each time while it was read. Sync again when it is at rest."
      }
    case "NotRegular": {
      const kind = read.kind === "special" ? "pipe, socket or device" : read.kind
      return { code: "FileNotRegular", detail: `It is a ${kind}, not a regular file.` }
    }
    case "TooLarge":
      return { code: "FileTooLarge", detail: `It has ${read.size} bytes; the limit is ${maxBytes}.` }
    case "Elsewhere":
      return {
        code: "FileElsewhere",
        detail:
          "A directory on the way to it became a symbolic link, or it was moved; links are not followed."
      }
    case "Failed":
      return failed(read.code)
  }
}

const failed = (code: string) =>
  code === "ENOENT"
    ? { code: "FileVanished", detail: "It vanished before it was read." }
    : code === "ELOOP"
      ? { code: "FileIsLink", detail: "It became a symbolic link; links are not followed." }
      : { code, detail: `It could not be read: ${meaning(code)}.` }
