/**
 * A log that is being put together beside the place where it will stand, and only takes it once it is whole.
 */
import { mkdirSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import type { Database } from "better-sqlite3"
import { inert } from "../faults/Failpoints.ts"
import { ContentStore } from "./ContentStore.ts"
import { prepareInsert } from "./EventRow.ts"
import { sync } from "./Folders.ts"
import type { ChainedRow } from "./HashChain.ts"
import { writeHeadOfCopy } from "./HeadFile.ts"
import type { BlobPut, VectorPut } from "./Log.ts"
import type { ArchiveHeader } from "./LogArchive.ts"
import { fileNames, openForWriting } from "./LogDatabase.ts"
import { logMigrations, migrate } from "./migrations/Migrations.ts"
import { foldedEvents, rebuildReadModels } from "./readModels/Rebuild.ts"
import { deleteSideFiles, unfinishedFolders } from "./SideFiles.ts"

/** Bodies and vectors are written this many at a time, or sooner at this many bytes. */
const contentBatch = { count: 500, bytes: 16 * 1024 * 1024 }

export class StagedLog {
  readonly #directory: string
  readonly #folder: string
  readonly #log: Database
  readonly #content: ContentStore
  readonly #insert: ReturnType<typeof prepareInsert>
  #blobs: Array<BlobPut> = []
  #vectors: Array<VectorPut> = []
  #bytes = 0

  /** What an earlier, interrupted import left in the directory is removed. */
  constructor(directory: string) {
    this.#directory = directory
    this.#folder = join(directory, unfinishedFolders.import)
    rmSync(this.#folder, { recursive: true, force: true })
    mkdirSync(this.#folder)
    this.#log = openForWriting(join(this.#folder, fileNames.log))
    migrate(this.#log, logMigrations, inert, () => {})
    this.#content = new ContentStore(join(this.#folder, fileNames.content), inert, () => {})
    this.#insert = prepareInsert(this.#log)
    this.#log.exec("BEGIN IMMEDIATE")
  }

  /** Answers whether its id and its place in its stream were free. */
  event(row: ChainedRow, hash: Buffer): boolean {
    return this.#insert(row, hash)
  }

  blob(put: BlobPut): void {
    this.#blobs.push(put)
    this.#bytes += put.bytes.length
    this.#flushIfLarge()
  }

  vector(put: VectorPut): void {
    this.#vectors.push(put)
    this.#bytes += put.vector.byteLength
    this.#flushIfLarge()
  }

  /** Folds the read models and takes the directory's place. Log last: without it, the directory still counts as empty. */
  finish(header: ArchiveHeader): void {
    this.#flush()
    const setMeta = this.#log.prepare("INSERT OR REPLACE INTO meta VALUES (?, ?)")
    const writer = this.#log
      .prepare<[], { writer: number }>(
        "SELECT json_extract(metadata, '$.writer') AS writer FROM events ORDER BY position DESC LIMIT 1"
      )
      .get()
    setMeta.run("log_id", header.logId)
    setMeta.run("epoch", String(header.epoch))
    setMeta.run("reconciled", String(header.epoch))
    setMeta.run("writer", String(writer?.writer ?? 0))
    this.#log.exec("COMMIT")
    rebuildReadModels(this.#log, foldedEvents(this.#log, 0, header.position))
    // Order keys are operational, but what an archive holds of them need not be lost. Text compares bytewise here.
    this.#log.exec(`
      INSERT INTO order_keys
      SELECT json_extract(data, '$.documentId'), max(json_extract(data, '$.orderKey')) FROM events
      WHERE type IN ('DocumentSubmitted', 'DocumentRemoved') GROUP BY 1`)
    this.#content.db.prepare("INSERT OR REPLACE INTO meta VALUES ('log_id', ?)").run(header.logId)
    for (const db of [this.#content.db, this.#log]) moveIntoDatabase(db)
    this.#close()
    deleteSideFiles(this.#directory)
    for (const name of [fileNames.content, fileNames.log]) {
      sync(join(this.#folder, name))
      renameSync(join(this.#folder, name), join(this.#directory, name))
      // The content is there for good before the log is there at all.
      sync(this.#directory)
    }
    writeHeadOfCopy(join(this.#directory, fileNames.head), header)
    rmSync(this.#folder, { recursive: true, force: true })
  }

  discard(): void {
    this.#close()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #flushIfLarge(): void {
    if (
      this.#blobs.length + this.#vectors.length >= contentBatch.count ||
      this.#bytes >= contentBatch.bytes
    ) {
      this.#flush()
    }
  }

  #flush(): void {
    this.#content.write(this.#blobs, this.#vectors)
    this.#blobs = []
    this.#vectors = []
    this.#bytes = 0
  }

  #close(): void {
    this.#log.close()
    this.#content.db.close()
  }
}

/**
 * All of what was written, since the database's file alone takes its place. Closed, SQLite would do it as well, and say
 * nothing where it cannot: the disk is full, or somebody has the file open.
 */
const moveIntoDatabase = (db: Database): void => {
  if (db.prepare<[], { busy: number }>("PRAGMA wal_checkpoint(TRUNCATE)").get()?.busy !== 0)
    throw new Error(`${db.name} is being read by another program. Run it again when that is over`)
}
