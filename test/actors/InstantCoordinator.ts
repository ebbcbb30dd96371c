/**
 * A Coordinator that ends every mutation at once and remembers in maps, for tests of what is in front of it. What it is
 * not asked for in these tests, it dies of.
 */
import { Effect, Layer, Stream } from "effect"
import { CommandRefused, Coordinator } from "../../actors/Coordinator.ts"
import { isSettled } from "../../actors/Ingestor/judge.ts"
import { canonicalJson } from "../../events/Canonical.ts"
import type { Command, CommandAnswer, DocumentSubmit, MutationEnd } from "../../events/Commands.ts"
import type { Reason } from "../../events/Document.ts"
import { DocumentVersion } from "../../events/Document.ts"
import { Digest, type DocumentId, Position, type SourceId, sha256 } from "../../events/Ids.ts"
import { Content } from "../../src/log/Content.ts"
import { Log, type OperationalChange } from "../../src/log/Log.ts"
import { type DocumentRow, type FileState, ReadModels, type SourceRow } from "../../src/log/ReadModels.ts"
import { ofBytes } from "../../src/sources/RawPath.ts"

const died = (what: string) => Effect.dieMessage(`${what} was not expected here.`)

export class InstantState {
  readonly documents = new Map<DocumentId, DocumentRow>()
  readonly files = new Map<DocumentId, FileState>()
  readonly sources = new Map<SourceId, SourceRow>()
  readonly blobs = new Map<Digest, Uint8Array>()
  readonly texts = new Map<DocumentId, string>()
  readonly paths = new Map<DocumentId, string>()
  readonly commands: Array<Command> = []
  readonly ends = new Map<string, MutationEnd>()
  readonly failures: Array<Reason> = []
  syncing = false
  position = 0
  /** Called before a command is answered. */
  before: (command: Command) => Effect.Effect<void> = () => Effect.void

  /** What a search would find, by external id. */
  get found(): Record<string, string> {
    const live = [...this.documents.values()].filter((row) => row.live !== undefined)
    return Object.fromEntries(
      live
        .map((row) => [this.paths.get(row.documentId) ?? "", this.texts.get(row.documentId) ?? ""] as const)
        .sort(([a], [b]) => (a < b ? -1 : 1))
    )
  }

  submissions(): ReadonlyArray<DocumentSubmit> {
    return this.commands.filter((command) => command._tag === "DocumentSubmit")
  }

  answer(outcome: CommandAnswer["outcome"], more: Partial<CommandAnswer> = {}): CommandAnswer {
    return { outcome, position: this.position, sequence: this.position, ...more }
  }

  remove(id: DocumentId, reason: NonNullable<DocumentRow["removed"]>): boolean {
    const row = this.documents.get(id)
    if (row === undefined || (row.live === undefined && row.parked === undefined && reason !== "requested"))
      return false
    this.position += 1
    this.documents.set(id, { ...row, live: undefined, parked: undefined, removed: reason })
    return true
  }

  submit(command: DocumentSubmit): CommandAnswer {
    const id = command.documentId
    const row = this.documents.get(id)
    if (row?.orderKey !== undefined && command.orderKey <= row.orderKey) return this.answer("superseded")
    const raw = sha256(command.raw)
    const described = canonicalJson({ ...command.descriptor })
    const descriptor = sha256(described)
    this.blobs.set(descriptor, Buffer.from(described))
    if (command.file !== undefined) {
      this.files.set(id, { documentId: id, ...command.file, raw, descriptor, sync: command.sync ?? 0 })
    }
    const same = row?.raw === raw && row.descriptor === descriptor
    if (same && row.live?.version === row.submittedVersion) return this.answer("unchanged")
    if (same && row.parked !== undefined) return this.answer("parked")
    const version = DocumentVersion.make((row?.submittedVersion ?? 0) + 1)
    const text = Buffer.from(command.raw).toString()
    this.position += 1
    const outcome = text === "" ? "skipped" : text.startsWith("poison") ? "parked" : "committed"
    const reason = { code: "poison", message: "It is poison." }
    this.documents.set(id, {
      documentId: id,
      scope: command.scope,
      sourceId: command.sourceId,
      streamVersion: version,
      submittedVersion: version,
      submittedPosition: this.position,
      raw,
      rawBytes: command.raw.length,
      descriptor,
      open: undefined,
      live:
        outcome === "committed"
          ? { version, position: this.position, chunks: 1 }
          : outcome === "skipped"
            ? undefined
            : row?.live,
      removed: outcome === "skipped" ? "skipped" : undefined,
      parked: undefined,
      orderKey: command.orderKey
    })
    if (outcome === "committed") {
      this.texts.set(id, text)
      this.paths.set(id, command.descriptor.externalId)
      if (command.movedFrom !== undefined) this.remove(command.movedFrom, "moved")
    }
    this.ends.set(`${id}/${version}`, {
      outcome,
      position: this.position,
      embeddings: { computed: outcome === "committed" && command.movedFrom === undefined ? 1 : 0, reused: 0 },
      ...(outcome === "parked" ? { reason } : {})
    })
    return this.answer("accepted", { version })
  }

  ask(command: Command): Effect.Effect<CommandAnswer, CommandRefused> {
    this.commands.push(command)
    switch (command._tag) {
      case "DocumentSubmit":
        return Effect.succeed(this.submit(command))
      case "DocumentRemove": {
        const removed = this.remove(command.documentId, command.reason)
        this.files.delete(command.documentId)
        return Effect.succeed(this.answer(removed ? "removed" : "unchanged"))
      }
      case "SourceAdd": {
        const bytes = Buffer.from(canonicalJson({ ...command.settings }))
        const settings = sha256(bytes)
        this.blobs.set(settings, bytes)
        const known = this.sources.get(command.sourceId)
        this.sources.set(command.sourceId, {
          sourceId: command.sourceId,
          scope: command.scope,
          kind: command.settings.kind,
          settings,
          streamVersion: 1,
          removed: false,
          sync: known?.sync ?? 0,
          syncState: known?.syncState ?? "none",
          lastCounts: undefined,
          lastFailure: undefined,
          held: known?.held
        })
        return Effect.succeed(this.answer(known?.settings === settings ? "unchanged" : "done"))
      }
      case "SyncStart":
      case "SyncComplete":
      case "SyncFail":
      case "RemovalsApprove":
        return this.source(command)
      default:
        return died(command._tag)
    }
  }

  private source(
    command: Extract<
      Command,
      { readonly _tag: "SyncStart" | "SyncComplete" | "SyncFail" | "RemovalsApprove" }
    >
  ): Effect.Effect<CommandAnswer, CommandRefused> {
    const row = this.sources.get(command.sourceId)
    if (row === undefined) {
      return Effect.fail(new CommandRefused({ command: command._tag, code: "unknown-source", detail: "" }))
    }
    this.position += 1
    const set = (change: Partial<SourceRow>) => this.sources.set(command.sourceId, { ...row, ...change })
    switch (command._tag) {
      case "SyncStart": {
        if (this.syncing) {
          return Effect.fail(new CommandRefused({ command: command._tag, code: "sync-running", detail: "" }))
        }
        this.syncing = true
        set({ sync: row.sync + 1, syncState: "running" })
        return Effect.succeed(this.answer("accepted", { sync: row.sync + 1 }))
      }
      case "SyncComplete": {
        this.syncing = false
        const bytes = Buffer.from(JSON.stringify(command.held))
        const documents = sha256(bytes)
        this.blobs.set(documents, bytes)
        const held =
          command.held.length > 0
            ? { sync: command.sync, count: command.held.length, documents }
            : command.complete
              ? undefined
              : row.held
        set({ syncState: "completed", lastCounts: command.counts, held })
        return Effect.succeed(this.answer("done"))
      }
      case "SyncFail":
        this.syncing = false
        this.failures.push(command.reason)
        set({ syncState: "failed", lastFailure: command.reason })
        return Effect.succeed(this.answer("done"))
      case "RemovalsApprove": {
        const bytes = row.held === undefined ? undefined : this.blobs.get(row.held.documents)
        for (const id of JSON.parse(Buffer.from(bytes ?? Buffer.from("[]")).toString())) {
          this.remove(id, "missing")
          this.files.delete(id)
        }
        set({ held: undefined })
        return Effect.succeed(this.answer("done"))
      }
    }
  }

  operational(change: OperationalChange): void {
    if (change.kind === "fileForgotten") this.files.delete(change.documentId)
    if (change.kind === "fileState") this.files.set(change.documentId, change)
  }
}

export const layer = (state: InstantState): Layer.Layer<Coordinator | ReadModels | Content | Log> => {
  const rows = (source: SourceId) =>
    [...state.documents.values()]
      .filter((row) => row.sourceId === source)
      .sort((a, b) => (a.documentId < b.documentId ? -1 : 1))
  const ask = (command: Command) =>
    Effect.zipRight(
      state.before(command),
      Effect.suspend(() => state.ask(command))
    )
  const endOf = (id: DocumentId, version: number) => {
    const end = state.ends.get(`${id}/${version}`)
    return end === undefined
      ? died(`The end of ${id}/${version}`)
      : Effect.delay(Effect.succeed(end), "1 millis")
  }
  return Layer.mergeAll(
    Layer.mock(Coordinator, {
      ask,
      askAll: (commands) => Effect.forEach(commands, (command) => Effect.either(ask(command))),
      ended: (id, version) => endOf(id, version),
      endedEach: (mutations, hear) =>
        Effect.forEach(
          mutations,
          ([key, { documentId, version }]) =>
            Effect.flatMap(endOf(documentId, version), (end) => hear([[key, end]])),
          { discard: true }
        ),
      idle: Effect.void,
      progress: Stream.never,
      unfinishedBuilds: died("unfinishedBuilds")
    }),
    Layer.mock(ReadModels, {
      sequenceAt: (_scope, position) => Effect.succeed(position),
      source: (id) => Effect.sync(() => state.sources.get(id)),
      sources: () => Effect.sync(() => [...state.sources.values()]),
      document: (id) => Effect.sync(() => state.documents.get(id)),
      named: (ids) => Effect.sync(() => new Map(ids.map((id) => [id, { row: state.documents.get(id) }]))),
      documents: ({ after, limit, source, state: narrowed }) =>
        Effect.sync(() => {
          const all = source === undefined ? [] : rows(source)
          const some = all
            .filter((row) => narrowed !== "live" || row.live !== undefined)
            .filter((row) => narrowed !== "removed" || row.removed !== undefined)
            .filter((row) => after === undefined || row.documentId > after)
          const page = some.slice(0, limit)
          return { rows: page, next: some.length > limit ? page.at(-1)?.documentId : undefined }
        }),
      fileStates: (source, after, limit) =>
        Effect.sync(() =>
          [...state.files.values()]
            .filter(({ documentId }) => state.documents.get(documentId)?.sourceId === source)
            .sort((a, b) => Buffer.compare(a.path, b.path))
            .filter(({ path }) => after === undefined || Buffer.compare(path, after) > 0)
            .slice(0, limit)
            .map((file) => {
              const document = state.documents.get(file.documentId)
              const settled =
                document !== undefined &&
                isSettled(document) &&
                document.raw === file.raw &&
                document.descriptor === file.descriptor
              return { ...file, path: ofBytes(file.path), settled, document: settled ? undefined : document }
            })
        )
    }),
    Layer.mock(Content, { blob: (_scope, digest) => Effect.sync(() => state.blobs.get(digest)) }),
    Layer.mock(Log, {
      head: Effect.succeed({
        logId: "instant",
        epoch: 1,
        position: Position.make(0),
        hash: Digest.make("0".repeat(64))
      }),
      write: ({ operational = [] }) =>
        Effect.sync(() => {
          for (const change of operational) state.operational(change)
          return []
        })
    })
  )
}
