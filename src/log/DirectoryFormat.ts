/**
 * The `format` file: which version of the layout a data directory has. A newer one is refused before anything in it is
 * touched.
 */
import { accessSync, constants, existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Schema } from "effect"
import { makeFolder, sync } from "./Folders.ts"
import { replaceFile } from "./HeadFile.ts"
import { fileNames } from "./LogDatabase.ts"

export const directoryFormat = 1

/** A newer version of Reprise wrote the directory. Use that version. */
export class DirectoryNewer extends Schema.TaggedError<DirectoryNewer>()("DirectoryNewer", {
  directory: Schema.String,
  found: Schema.Int,
  known: Schema.Int
}) {
  override get message() {
    return `${this.directory} has format ${this.found}; this version of Reprise knows formats up to ${this.known}. Nothing was changed. Use the newer version that wrote it.`
  }
}

/** What is there is not a data directory of Reprise, or is not whole. */
export class DirectoryInvalid extends Schema.TaggedError<DirectoryInvalid>()("DirectoryInvalid", {
  directory: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `${this.directory} is not a usable data directory: ${this.detail}`
  }
}

/** Throws `DirectoryNewer` or `DirectoryInvalid`; answers whether the directory holds a log. Writes nothing. */
export const checkFormat = (directory: string): "absent" | "present" => {
  const path = join(directory, fileNames.format)
  if (!existsSync(path)) {
    if (!existsSync(join(directory, fileNames.log))) return "absent"
    throw new DirectoryInvalid({
      directory,
      detail: `it has a ${fileNames.log} but no ${fileNames.format} file. Restore that file from where the directory came from (its content is "reprise ${directoryFormat}").`
    })
  }
  const text = readFileSync(path, "utf8")
  const found = /^reprise (\d{1,9})\s*$/.exec(text)?.[1]
  if (found === undefined) {
    throw new DirectoryInvalid({
      directory,
      detail: `its ${fileNames.format} file says ${JSON.stringify(text.slice(0, 60))}, not "reprise ${directoryFormat}".`
    })
  }
  if (Number(found) > directoryFormat) {
    throw new DirectoryNewer({ directory, found: Number(found), known: directoryFormat })
  }
  return "present"
}

/** Makes the directory where it is missing. Throws `DirectoryInvalid` where it cannot be made, or may not be written to. */
export const makeDirectory = (directory: string): void => {
  try {
    makeFolder(directory)
    accessSync(directory, constants.W_OK | constants.X_OK)
  } catch (cause) {
    throw new DirectoryInvalid({
      directory,
      detail: `this user cannot make it or write there (${cause instanceof Error ? cause.message : String(cause)}). Name another place, or mend its permissions.`
    })
  }
}

/** Creates the directory and its format file where they are missing. */
export const createDirectory = (directory: string): void => {
  makeDirectory(directory)
  const path = join(directory, fileNames.format)
  if (existsSync(path)) return
  replaceFile(path, `reprise ${directoryFormat}\n`, { sync: true })
  // Before there is a log: one without it is refused.
  sync(directory)
}
