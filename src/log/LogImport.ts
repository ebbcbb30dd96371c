/**
 * Reads an archive into an empty directory, line by line. Each line is checked as it comes; refused at any of them, nothing
 * of it stays. The same archive again changes nothing.
 */
import { createHash } from "node:crypto"
import { join } from "node:path"
import { Either, Schema } from "effect"
import { CodeFingerprint, sha256 } from "../../events/Ids.ts"
import type { FailpointsService } from "../faults/Failpoints.ts"
import { checkFormat, createDirectory } from "./DirectoryFormat.ts"
import { chainHash, genesis } from "./HashChain.ts"
import {
  type ArchiveHeader,
  ArchiveLine,
  ArchiveRefused,
  archiveFormat,
  TargetNotEmpty
} from "./LogArchive.ts"
import { fileNames, isEmpty, openForReading } from "./LogDatabase.ts"
import { StagedLog } from "./StagedLog.ts"
import { vectorOf } from "./StoredContent.ts"
import { acquireLock, type Holder } from "./WriterLock.ts"

export interface ImportReport {
  readonly position: number
  readonly hash: string
  readonly events: number
  readonly blobs: number
  readonly vectors: number
  /** The directory held this log up to here already: nothing was changed. */
  readonly alreadyThere: boolean
}

/** How often `import.batch` is reached. */
const linesPerBatch = 1000

const decodeLine = Schema.decodeUnknownEither(ArchiveLine)
type Line<Kind extends ArchiveLine["kind"]> = Extract<ArchiveLine, { readonly kind: Kind }>

/** Fed line by line; ended by `finish` or by `abandon`, one of which must be called. */
export class LogImport {
  readonly #directory: string
  readonly #failpoints: FailpointsService
  readonly #release: () => void
  readonly #hash = createHash("sha256")
  readonly #counts = { events: 0, blobs: 0, vectors: 0 }
  #line = 0
  #header: ArchiveHeader | undefined
  /** Absent where the directory holds the log already: its archive is then only checked. */
  #staged: StagedLog | undefined
  #previous: Buffer = genesis
  #state: "lines" | "ended" | "closed" = "lines"

  /** Holds the directory's lock for as long as the import lasts. Throws as `openWriter` does. */
  constructor(directory: string, holder: Holder, failpoints: FailpointsService) {
    this.#directory = directory
    this.#failpoints = failpoints
    checkFormat(directory)
    createDirectory(directory)
    this.#release = acquireLock(directory, holder, failpoints)
  }

  /** One line without its newline. Throws `ArchiveRefused` with the line's number, or `TargetNotEmpty`. */
  line(text: string): void {
    this.#line += 1
    const decoded = decodeLine(text)
    if (Either.isLeft(decoded)) throw this.#refused("it is not a line of an archive")
    const line = decoded.right
    if (this.#state !== "lines") throw this.#refused("it comes after the end")
    if (line.kind === "end") {
      this.#end(line)
      return
    }
    this.#take(line)
    this.#hash.update(text).update("\n")
    if (this.#line % linesPerBatch === 0) this.#failpoints.hit("import.batch")
  }

  /** Puts what was imported in place. Throws `ArchiveRefused` where the archive was cut. */
  finish(): ImportReport {
    try {
      const header = this.#header
      if (header === undefined || this.#state !== "ended") {
        this.#line += 1
        throw this.#refused("the archive ends before its end line: it was cut")
      }
      this.#failpoints.hit("import.batch")
      this.#staged?.finish(header)
      const alreadyThere = this.#staged === undefined
      this.#staged = undefined
      return { position: header.position, hash: header.hash, ...this.#counts, alreadyThere }
    } finally {
      this.abandon()
    }
  }

  /** Removes what was staged and lets go of the lock. */
  abandon(): void {
    if (this.#state === "closed") return
    this.#state = "closed"
    this.#staged?.discard()
    this.#release()
  }

  #take(line: Exclude<ArchiveLine, Line<"end">>): void {
    if (line.kind === "reprise-log") return this.#begin(line)
    if (this.#header === undefined) throw this.#refused("the header is missing before it")
    if (line.kind === "event") return this.#event(line)
    if (this.#counts.events !== this.#header.position) throw this.#refused("events are missing before it")
    if (line.kind === "blob") return this.#blob(line)
    this.#vector(line)
  }

  #begin(header: ArchiveHeader): void {
    if (this.#header !== undefined) throw this.#refused("there is a header already")
    if (header.format > archiveFormat) {
      throw this.#refused(`its format is ${header.format}; this version knows formats up to ${archiveFormat}`)
    }
    this.#header = header
    if (!holdsAlready(this.#directory, header)) this.#staged = new StagedLog(this.#directory)
  }

  #event(event: Line<"event">): void {
    if (this.#counts.blobs + this.#counts.vectors > 0) throw this.#refused("an event comes after content")
    if (event.position !== this.#counts.events + 1) {
      throw this.#refused(
        `position ${event.position} follows ${this.#counts.events}: events were cut or reordered`
      )
    }
    const row = { ...event, data: JSON.stringify(event.data), metadata: JSON.stringify(event.metadata) }
    const hash = chainHash(this.#previous, row)
    if (hash.toString("hex") !== event.hash) {
      throw this.#refused(`the event at position ${event.position} does not match its hash: it was edited`)
    }
    this.#previous = hash
    this.#counts.events += 1
    if (event.position === this.#header?.position && event.hash !== this.#header.hash) {
      throw this.#refused("the last event is not the one that the header names")
    }
    if (this.#staged?.event(row, hash) === false) {
      throw this.#refused(
        `the event at position ${event.position} has the id of an earlier one, or its place in the stream ${event.stream}`
      )
    }
  }

  #blob({ bytes, digest, project, team }: Line<"blob">): void {
    if (sha256(bytes) !== digest) throw this.#refused(`the body does not hash to its digest ${digest}`)
    this.#counts.blobs += 1
    this.#staged?.blob({ team, project, digest, bytes })
  }

  #vector({ input, model, project, team, vector }: Line<"vector">): void {
    if (vector.length % 4 !== 0) throw this.#refused("a vector's bytes are not float32")
    const values = vectorOf(vector)
    if (values.length === 0 || !values.every(Number.isFinite))
      throw this.#refused("a vector has a number that is none")
    this.#counts.vectors += 1
    this.#staged?.vector({
      team,
      project,
      model: CodeFingerprint.make(model, { disableValidation: true }),
      inputHash: input,
      vector: values
    })
  }

  #end(end: Line<"end">): void {
    const { blobs, events, vectors } = this.#counts
    if (this.#header === undefined) throw this.#refused("the header is missing before it")
    if (
      end.events !== events ||
      end.blobs !== blobs ||
      end.vectors !== vectors ||
      events !== this.#header.position
    ) {
      throw this.#refused("its numbers are not those of the lines before it: lines were cut or added")
    }
    if (end.digest !== this.#hash.digest("hex")) {
      throw this.#refused("the lines before it were edited or put in another order")
    }
    this.#state = "ended"
  }

  #refused(detail: string): ArchiveRefused {
    return new ArchiveRefused({ line: this.#line, detail })
  }
}

/** Whether the directory's log is this one, at least up to the archive's head. An empty one is none yet. */
const holdsAlready = (directory: string, header: ArchiveHeader): boolean => {
  const path = join(directory, fileNames.log)
  if (isEmpty(path)) return false
  const db = openForReading(path, 0)
  try {
    const head = db.prepare<[], { position: number }>("SELECT max(position) AS position FROM events").get()
    if ((head?.position ?? 0) === 0) return false
    const id = db.prepare<[], { value: string }>("SELECT value FROM meta WHERE key = 'log_id'").get()?.value
    const there = db
      .prepare<[number], { hash: Buffer }>("SELECT hash FROM events WHERE position = ?")
      .get(header.position)
    if (id === header.logId && there?.hash.toString("hex") === header.hash) return true
    throw new TargetNotEmpty({
      target: directory,
      detail: `it holds ${id === header.logId ? "another history of this log" : `the log ${id}`}, up to position ${head?.position}`
    })
  } finally {
    db.close()
  }
}
