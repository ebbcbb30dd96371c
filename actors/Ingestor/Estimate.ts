/**
 * What submitting documents would cost, found by preparing them in memory: chunks, vectors that the project does not
 * have yet, and the tokens that computing them would take.
 */
import { Effect, Schema } from "effect"
import { Descriptor, Manifest } from "../../events/Document.ts"
import type { CodeFingerprint, Digest, DocumentId, ProjectScope } from "../../events/Ids.ts"
import { maxPlanned, type Planned } from "../../events/Quote.ts"
import { renderInput } from "../../src/documents/RenderedInput.ts"
import { estimateTokens } from "../../src/documents/TokenEstimate.ts"
import type { ContentService } from "../../src/log/Content.ts"
import type { LogFailed } from "../../src/log/Log.ts"
import type { ReadModelsService } from "../../src/log/ReadModels.ts"
import type { OpenSource } from "../../src/sources/SourceReader.ts"
import type { Acts, Ended, Submission } from "./Acts.ts"
import type { PreparerService } from "./Preparer.ts"
import type { Tally } from "./Tally.ts"

/** Inputs remembered so that equal ones are counted once; beyond it they may be counted again. */
const rememberedInputs = 1_000_000

export interface EstimatePorts {
  readonly content: ContentService
  readonly readModels: ReadModelsService
  readonly preparer: PreparerService
}

/** Under what documents would be committed now. */
export interface Pair {
  readonly chunker: CodeFingerprint
  readonly model: CodeFingerprint
}

const decodeDescriptor = Schema.decodeUnknown(Schema.parseJson(Descriptor))
const decodeManifest = Schema.decodeUnknown(Schema.parseJson(Manifest))
/** A byte order mark belongs to the text: spans count it. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })
const textOf = (bytes: Uint8Array | undefined): string => decoder.decode(bytes)

export class Estimate {
  readonly documents: Array<Planned> = []
  chunks = 0
  compute = 0
  reuse = 0
  tokens = 0
  private readonly inputs = new Set<Digest>()
  private readonly ports: EstimatePorts
  private readonly pair: Pair

  constructor(ports: EstimatePorts, pair: Pair) {
    this.ports = ports
    this.pair = pair
  }

  plan(planned: Planned): void {
    if (this.documents.length < maxPlanned) this.documents.push(planned)
  }

  /** Where a known document stands, by its newest descriptor. */
  uriOf(id: DocumentId): Effect.Effect<string, LogFailed> {
    const { content, readModels } = this.ports
    return Effect.gen(function* () {
      const row = yield* readModels.document(id)
      const bytes = row === undefined ? undefined : yield* content.blob(row.scope, row.descriptor)
      const descriptor = yield* Effect.option(decodeDescriptor(textOf(bytes)))
      return descriptor._tag === "Some" ? descriptor.value.uri : id
    })
  }

  /** The acts of a pass that changes nothing. */
  acts(scope: ProjectScope, source: OpenSource, tally: Tally): Acts<LogFailed> {
    return {
      submit: (submissions, held) =>
        Effect.forEach(
          submissions,
          (submission) => Effect.zipLeft(this.submit(scope, source, tally, submission), held.over(1)),
          { concurrency: "unbounded" }
        ),
      wait: (_document, becomes) => Effect.sync(() => tally.count(becomes)),
      remove: (id, why) =>
        Effect.map(this.uriOf(id), (uri) => {
          this.plan({ act: "remove", uri })
          tally.count(why === "missing" ? "removed" : "skipped")
        }),
      refresh: () => Effect.void,
      forget: () => Effect.void,
      flush: Effect.void
    }
  }

  private submit(
    scope: ProjectScope,
    source: OpenSource,
    tally: Tally,
    { becomes, documentId, item, movedFrom, path, uri }: Submission
  ): Effect.Effect<Ended, LogFailed> {
    const { preparer } = this.ports
    const settings = preparer.chunkers.get(this.pair.chunker) ?? [...preparer.chunkers.values()][0]
    if (settings === undefined) return Effect.dieMessage("The preparer has no chunker.")
    return Effect.gen(this, function* () {
      const descriptor = source.describe(path)
      const answer = yield* Effect.either(
        preparer.prepare({ documentId, raw: item.bytes, descriptor, chunker: settings })
      )
      if (answer._tag === "Left") {
        tally.fail("failed", { uri, reason: answer.left.message })
        return "not committed"
      }
      switch (answer.right._tag) {
        case "Skipped":
          tally.count("skipped")
          return "not committed"
        case "Unparseable":
          tally.fail("parked", { uri, reason: answer.right.message })
          return "not committed"
        case "Prepared": {
          const from = movedFrom === undefined ? {} : { from: yield* this.uriOf(movedFrom.documentId) }
          const act = { added: "add", updated: "update", moved: "move" } as const
          this.plan({ act: act[becomes], uri, ...from })
          tally.count(becomes)
          yield* this.countVectors(scope, answer.right)
          return "committed"
        }
      }
    })
  }

  /** Counts a document that was prepared: its chunks, and which of their vectors are missing. */
  countVectors(
    scope: ProjectScope,
    bodies: { readonly descriptor: Uint8Array; readonly text: Uint8Array; readonly manifest: Uint8Array }
  ): Effect.Effect<void, LogFailed> {
    return Effect.gen(this, function* () {
      const descriptor = yield* Effect.orDie(decodeDescriptor(textOf(bodies.descriptor)))
      const { entries } = yield* Effect.orDie(decodeManifest(textOf(bodies.manifest)))
      const text = textOf(bodies.text)
      this.chunks += entries.length
      const unseen = new Map(
        entries.flatMap((entry) => (this.inputs.has(entry.inputHash) ? [] : [[entry.inputHash, entry]]))
      )
      const stored = yield* this.ports.content.vectorDigests(scope, this.pair.model, [...unseen.keys()])
      this.reuse += entries.length - unseen.size + stored.size
      for (const [inputHash, { end, headings, start }] of unseen) {
        if (this.inputs.size < rememberedInputs) this.inputs.add(inputHash)
        if (stored.has(inputHash)) continue
        this.compute += 1
        const input = renderInput(descriptor, headings, text.slice(start, end))
        this.tokens += estimateTokens(input, 0, input.length)
      }
    })
  }
}
