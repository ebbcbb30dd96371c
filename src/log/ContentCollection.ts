/**
 * Mark and sweep of content: bodies and vectors that no version of a document needs are deleted.
 *
 * A run is many short steps between the groups of the log's writer, so that whoever writes meanwhile does not wait long.
 * What is needed is safe for three reasons: each document is looked at as the log stands at that moment; whatever an
 * append brings or requires from the beginning of the run on is needed (the barrier in `ContentStore`); and what was stored
 * after the beginning is not looked at. A killed run leaves nothing behind but what it has deleted so far.
 *
 * What was marked stands in temporary tables of the content's connection: memory does not grow with the content.
 */
import type { Database } from "better-sqlite3"
import { Either, Schema } from "effect"
import { Manifest } from "../../events/Document.ts"
import type { FailpointsService } from "../faults/Failpoints.ts"
import type { ContentStore } from "./ContentStore.ts"
import type { Purged } from "./Purge.ts"
import { type BlobRow, unpackBlob } from "./StoredContent.ts"

/** What a run keeps beyond what live, open and parked versions need. */
export interface CollectionRules {
  /** Milliseconds since 1970. */
  readonly now: number
  /** A version that ended less than so long ago is kept. */
  readonly keepForMs: number
  /** So many of a document's ended versions are kept, the newest. */
  readonly keepVersions: number
  /** A version that ended after this position is kept: an index may still have to be filled with it. */
  readonly horizon: number
  /** Inputs whose vectors no document names and a model needs all the same. */
  readonly keptInputs: ReadonlyArray<string>
  /** Documents of which nothing is kept but what a live, open or parked version needs. */
  readonly erased: ReadonlySet<string>
  /** Documents of which nothing that ended is kept. */
  readonly ended: ReadonlySet<string>
  /** Sources whose settings go. */
  readonly erasedSources: ReadonlySet<string>
  /** Counts what would go and deletes nothing. */
  readonly dryRun: boolean
}

/** What a run deleted, or would. Bytes are those of bodies and vectors as stored. */
export interface CollectedContent {
  readonly documents: number
  readonly blobs: number
  readonly vectors: number
  readonly bytes: number
  /** Bodies of erased documents that stay, because something else needs them. */
  readonly shared: number
}

export type CollectionAsk =
  | { readonly _tag: "Begin"; readonly rules: CollectionRules }
  | { readonly _tag: "Step" }
  | { readonly _tag: "End" }
  /** After a collection that erased: nothing that was deleted stands in any file. */
  | { readonly _tag: "Purge"; readonly documents: ReadonlyArray<string> }

export type CollectionStep =
  | { readonly _tag: "More"; readonly documents: number }
  | { readonly _tag: "Done"; readonly collected: CollectedContent }
  | { readonly _tag: "Purged"; readonly purged: Purged }

/** Documents that a step looks at, unless their manifests are long. */
const documentsAStep = 100
/** Chunks that a step marks before it lets others have their turn. */
const chunksAStep = 5_000
const rowsAStep = 2_000

interface DocumentColumns {
  readonly row: number
  readonly documentId: string
  readonly team: string
  readonly project: string
  readonly submittedVersion: number
  readonly raw: string
  readonly descriptor: string
  readonly liveVersion: number | null
  readonly removed: string | null
}

interface SourceColumns {
  readonly source: string
  readonly team: string
  readonly project: string
  readonly settings: string
  readonly held: string | null
}

interface ContentsColumns {
  readonly chunker: string
  readonly model: string | null
  readonly descriptor: string
  readonly text: string
  readonly manifest: string
}

const decodeManifest = Schema.decodeUnknownEither(Schema.parseJson(Manifest))

export class ContentCollection {
  readonly #content: ContentStore
  readonly #rules: CollectionRules
  readonly #failpoints: FailpointsService
  readonly #log: ReturnType<typeof prepareLog>
  readonly #last: { readonly blobs: number; readonly vectors: number }
  /** Models by chunker: of generations that are there, or were until not long ago. */
  readonly #needed: ReadonlyMap<string, ReadonlySet<string>>
  #phase: "sources" | "documents" | "blobs" | "vectors" = "sources"
  #document = 0
  #row = 0
  #documents = 0
  readonly #collected = { blobs: 0, vectors: 0, bytes: 0 }
  /** By digest: what erased documents ever named. */
  readonly #erasedBodies = new Map<string, { readonly team: string; readonly project: string }>()

  /** From here on, until {@link end}, what appends bring or require is kept. */
  constructor(log: Database, content: ContentStore, rules: CollectionRules, failpoints: FailpointsService) {
    this.#content = content
    this.#rules = rules
    this.#failpoints = failpoints
    this.#log = prepareLog(log)
    content.beginKeeping()
    this.#last = content.lastRows()
    this.#needed = this.#neededModels()
  }

  /** A bounded piece of the work. */
  step(): CollectionStep {
    switch (this.#phase) {
      case "sources":
        this.#markSources()
        this.#phase = "documents"
        break
      case "documents":
        this.#failpoints.hit("collect.mark")
        if (!this.#markDocuments()) this.#phase = "blobs"
        break
      case "blobs":
        if (!this.#sweep("blobs")) {
          this.#phase = "vectors"
          this.#row = 0
        }
        break
      case "vectors":
        if (!this.#sweep("vectors"))
          return {
            _tag: "Done",
            collected: { documents: this.#documents, ...this.#collected, shared: this.#shared() }
          }
    }
    return { _tag: "More", documents: this.#documents }
  }

  end(): void {
    this.#content.endKeeping()
  }

  #shared(): number {
    let shared = 0
    for (const [digest, { project, team }] of this.#erasedBodies)
      if (this.#content.keepsBlob(team, project, digest)) shared += 1
    return shared
  }

  #isRecent(recordedAt: number | undefined): boolean {
    return recordedAt !== undefined && recordedAt > this.#rules.now - this.#rules.keepForMs
  }

  #neededModels(): ReadonlyMap<string, ReadonlySet<string>> {
    const retired = new Map(
      this.#log.retired.all().map(({ generation, recordedAt }) => [generation, recordedAt])
    )
    const needed = new Map<string, Set<string>>()
    for (const { generation, spec, state } of this.#log.generations.all()) {
      if (state === "retired" && !this.#isRecent(retired.get(generation))) continue
      const { chunker, model }: { chunker: string; model: string } = JSON.parse(spec)
      needed.set(chunker, (needed.get(chunker) ?? new Set()).add(model))
    }
    return needed
  }

  #markSources(): void {
    for (const { held, project, settings, source, team } of this.#log.sources.all()) {
      if (this.#rules.erasedSources.has(source)) continue
      this.#content.keepBlob(team, project, settings)
      if (held !== null) this.#content.keepBlob(team, project, held)
    }
    for (const model of new Set([...this.#needed.values()].flatMap((models) => [...models])))
      for (const { project, team } of this.#log.projects.all())
        for (const input of this.#rules.keptInputs) this.#content.keepVector(team, project, model, input)
  }

  /** False when no document is left. */
  #markDocuments(): boolean {
    const page = this.#log.documents.all(this.#document)
    let chunks = 0
    for (const document of page) {
      chunks += this.#content.keeping(() => this.#markDocument(document))
      this.#document = document.row
      this.#documents += 1
      if (chunks > chunksAStep) return true
    }
    return page.length === documentsAStep
  }

  /** Answers how many chunks it marked. */
  #markDocument(document: DocumentColumns): number {
    const { documentId, project, submittedVersion, team } = document
    const kept = new Set<number>()
    // What would be erased is still there while that is only counted.
    const isGone = this.#rules.dryRun && this.#rules.erased.has(documentId)
    const liveVersion = isGone ? null : document.liveVersion
    // The newest submission is kept whatever became of it: it may be open, or waiting to be tried again.
    if (document.removed === null && !isGone) {
      kept.add(submittedVersion)
      this.#content.keepBlob(team, project, document.raw)
      this.#content.keepBlob(team, project, document.descriptor)
    }
    if (liveVersion !== null) {
      kept.add(liveVersion)
      if (liveVersion !== submittedVersion) this.#markSubmission(document, liveVersion)
    }
    const named = this.#rules.erased.has(documentId)
      ? this.#log.named
      : this.#rules.ended.has(documentId)
        ? this.#log.namedByEnded
        : undefined
    for (const { digest } of named?.all({ documentId }) ?? [])
      this.#erasedBodies.set(digest, { team, project })
    const endedVersions = named === undefined ? this.#log.ended.all(documentId) : []
    for (const [at, { endedAt, ended, version }] of endedVersions.entries())
      if (at < this.#rules.keepVersions || ended > this.#rules.horizon || this.#isRecent(endedAt))
        kept.add(version)
    let chunks = 0
    for (const version of kept) chunks += this.#markVersion(document, version)
    return chunks
  }

  /** A new chunker begins with the bytes, and what they were submitted with. */
  #markSubmission({ documentId, project, team }: DocumentColumns, version: number): void {
    const submission = this.#log.submission.get(`document-${documentId}`, version)
    if (submission === undefined) return
    this.#content.keepBlob(team, project, submission.raw)
    this.#content.keepBlob(team, project, submission.descriptor)
  }

  #markVersion({ documentId, project, team }: DocumentColumns, version: number): number {
    const manifests = new Map<string, Set<string>>()
    for (const contents of this.#log.contents.all(documentId, version, documentId, version)) {
      const { chunker, descriptor, manifest, model, text } = contents
      const models = this.#needed.get(chunker)
      if (models === undefined || (model !== null && !models.has(model))) continue
      for (const digest of [descriptor, text, manifest]) this.#content.keepBlob(team, project, digest)
      // What is chunked and not yet completed is completed under any of its chunker's models.
      const wanted = model === null ? models : [model]
      const known = manifests.get(manifest) ?? new Set()
      for (const one of wanted) known.add(one)
      manifests.set(manifest, known)
    }
    let chunks = 0
    for (const [manifest, models] of manifests)
      for (const { inputHash } of this.#entries(team, project, manifest))
        for (const model of models) {
          this.#content.keepVector(team, project, model, inputHash)
          chunks += 1
        }
    return chunks
  }

  /** What is gone or damaged names nothing; whoever reads it says so. */
  #entries(team: string, project: string, digest: string): Manifest["entries"] {
    const row: BlobRow | undefined = this.#content.blobRow(team, project, digest)
    if (row === undefined) return []
    try {
      const decoded = decodeManifest(new TextDecoder().decode(unpackBlob(digest, row)))
      return Either.isRight(decoded) ? decoded.right.entries : []
    } catch {
      return []
    }
  }

  /** False when no row is left. */
  #sweep(table: "blobs" | "vectors"): boolean {
    const last = this.#content.rowAfter(table, this.#row, this.#last[table], rowsAStep)
    if (last === undefined) return false
    if (!this.#rules.dryRun) this.#failpoints.hit("collect.sweep.before")
    const { bytes, rows } = this.#content.sweep(table, this.#row, last, this.#rules.dryRun)
    if (!this.#rules.dryRun) this.#failpoints.hit("collect.sweep.after")
    this.#collected[table] += rows
    this.#collected.bytes += bytes
    this.#row = last
    return true
  }
}

const prepareLog = (db: Database) => ({
  generations: db.prepare<[], { generation: string; spec: string; state: string }>(
    "SELECT generation, spec, state FROM generations"
  ),
  retired: db.prepare<[], { generation: string; recordedAt: number }>(`
    SELECT json_extract(data, '$.generation') AS generation, recorded_at AS recordedAt FROM events
    WHERE stream = 'generations' AND type = 'GenerationRetired'`),
  projects: db.prepare<[], { team: string; project: string }>(
    "SELECT DISTINCT team, project FROM document_tally"
  ),
  sources: db.prepare<[], SourceColumns>(
    "SELECT source_id AS source, team, project, settings, held_documents AS held FROM sources"
  ),
  documents: db.prepare<[number], DocumentColumns>(`
    SELECT first_position AS row, document_id AS documentId, team, project, submitted_version AS submittedVersion, raw, descriptor,
      live_version AS liveVersion, removed
    FROM documents WHERE first_position > ? ORDER BY first_position LIMIT ${documentsAStep}`),
  submission: db.prepare<[string, number], { raw: string; descriptor: string }>(`
    SELECT json_extract(data, '$.raw') AS raw, json_extract(data, '$.descriptor') AS descriptor FROM events
    WHERE stream = ? AND type = 'DocumentSubmitted' AND json_extract(data, '$.version') = ?`),
  named: db.prepare<[{ documentId: string }], { digest: string }>(`
    SELECT json_extract(data, '$.raw') AS digest FROM events
      WHERE stream = 'document-' || @documentId AND type = 'DocumentSubmitted'
    UNION SELECT text_blob FROM chunkings WHERE document_id = @documentId
    UNION SELECT text_blob FROM contents WHERE document_id = @documentId
    UNION SELECT descriptor FROM contents WHERE document_id = @documentId`),
  namedByEnded: db.prepare<[{ documentId: string }], { digest: string }>(`
    WITH gone AS (SELECT version FROM versions WHERE document_id = @documentId AND ended IS NOT NULL)
    SELECT json_extract(data, '$.raw') AS digest FROM events
      WHERE stream = 'document-' || @documentId AND type = 'DocumentSubmitted' AND json_extract(data, '$.version') IN gone
    UNION SELECT text_blob FROM contents WHERE document_id = @documentId AND version IN gone
    UNION SELECT descriptor FROM contents WHERE document_id = @documentId AND version IN gone`),
  ended: db.prepare<[string], { version: number; ended: number; endedAt: number }>(`
    SELECT v.version, v.ended, e.recorded_at AS endedAt FROM versions v JOIN events e ON e.position = v.ended
    WHERE v.document_id = ? AND v.ended IS NOT NULL ORDER BY v.version DESC`),
  contents: db.prepare<[string, number, string, number], ContentsColumns>(`
    SELECT chunker, NULL AS model, descriptor, text_blob AS text, manifest_blob AS manifest
      FROM chunkings WHERE document_id = ? AND version = ?
    UNION ALL
    SELECT chunker, model, descriptor, text_blob AS text, manifest_blob AS manifest
      FROM contents WHERE document_id = ? AND version = ?`)
})
