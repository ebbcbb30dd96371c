/** A state file as a witness of its log's head. */
import Database from "better-sqlite3"

/** What a state has seen of its log, whatever spec it is of; `undefined` where the file cannot tell. */
export const readWitness = (
  path: string
):
  | { readonly logId: string; readonly epoch: number; readonly position: number; readonly hash: string }
  | undefined => {
  try {
    const db = new Database(path, { readonly: true, timeout: 2000 })
    try {
      const read = db.prepare<[string]>("SELECT value FROM meta WHERE key = ?").pluck()
      const [logId, epoch, position, hash] = ["logId", "epoch", "checkpoint", "witness"].map((key) =>
        read.get(key)
      )
      return typeof logId === "string" && typeof hash === "string"
        ? { logId, epoch: Number(epoch), position: Number(position), hash }
        : undefined
    } finally {
      db.close()
    }
  } catch {
    return undefined
  }
}
