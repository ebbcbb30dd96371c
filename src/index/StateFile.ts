/** The file of a state: how it is opened, and which file it is. */
import { statSync } from "node:fs"
import Database from "better-sqlite3"
import { Option } from "effect"
import { EngineMismatch } from "./Index.ts"
import { StateUnusable } from "./StateSchema.ts"

export const connect = (path: string, readonly: boolean): Database.Database => {
  try {
    return new Database(path, { readonly, timeout: 2000 })
  } catch (cause) {
    throw new StateUnusable("damaged", `${path} cannot be opened: ${String(cause)}`)
  }
}

/** Another one under the same name has another. */
export const inodeOf = (path: string): string => {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
  return stat === undefined ? "" : `${stat.dev}:${stat.ino}`
}

/** What SQLite says of a generation's state while it is read: the file is damaged, and nobody's code is. */
export const damagedState = (defect: unknown): Option.Option<EngineMismatch> =>
  defect instanceof Database.SqliteError
    ? Option.some(
        new EngineMismatch({
          engine: "embedded",
          reason: "damaged",
          detail: `its state cannot be read (${defect.message}). Rebuild it: reprise replay.`
        })
      )
    : Option.none()
