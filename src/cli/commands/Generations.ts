/** `build`, `replay`, `verify`, `recover`: incarnations of the index. */
import { Effect, Schema } from "effect"
import type { PromotionProgress } from "../../../actors/Indexer/Promotion.ts"
import { EngineKind } from "../../../events/Generation.ts"
import { DocumentId } from "../../../events/Ids.ts"
import { Recomputed, VerifyLevel, VerifyReport } from "../../index/VerifyReport.ts"
import { BuildQuote, Replayed, type Verified } from "../../runtime/Reprise.ts"
import { choiceFlag, command, flag, noArguments, textFlags } from "../Definition.ts"
import { type ExitCode, UsageError } from "../Exit.ts"
import { note, type Page, print } from "../Output.ts"
import { printable } from "../Printable.ts"
import { type Progress, withProgress } from "../Progress.ts"
import { orOutage, withQuotes, withReader, withWriter } from "../Session.ts"
import { counted, number, table, time } from "../Style.ts"

const phases = {
  applying: "Applying events",
  building: "Building documents",
  verifying: "Reading back",
  promoting: "Taking over"
} as const

const shown =
  (progress: Progress) =>
  ({ checkpoint, generation, head, phase }: PromotionProgress): Effect.Effect<void> =>
    progress.show({
      what: phases[phase],
      done: phase === "building" ? head : checkpoint,
      total: phase === "applying" ? head : undefined,
      details: phase === "building" ? `left, generation ${generation}` : `generation ${generation}`
    })

export const replay = command({
  name: "replay",
  summary: "Build the index anew from the log, verify it, and let it take over",
  details: "Searches go on meanwhile. No provider is asked, no source is read. It resumes after a kill.",
  flags: {
    engine: choiceFlag(
      "engine",
      EngineKind.literals,
      "Move the index to this engine (default: it stays where it is)"
    )
  },
  arguments: noArguments,
  run: ({ engine }, _, common) =>
    withWriter(common, { command: "reprise replay" }, (writer) =>
      Effect.gen(function* () {
        const result = yield* withProgress((progress) => writer.replay(shown(progress), engine))
        yield* print(common.json, Replayed, result, (page) => replayedPage(page, result))
        return codeOf(result)
      })
    )
})

const codeOf = ({ fingerprint }: Replayed): ExitCode => (fingerprint.equal ? 0 : 1)

const replayedPage = ({ style }: Page, result: Replayed): string => {
  const { chunks, documents, elapsedMs, embeddings, events, fingerprint, generation } = result
  return [
    `Generation ${style.bold(generation.to)} took over${generation.from === null ? "" : ` from ${generation.from}`}: ${counted(documents, "document")}, ${counted(chunks, "chunk")}, ${counted(events, "event")} in ${time(elapsedMs)}`,
    `embedding calls: ${number(embeddings.computed)} computed, ${number(embeddings.reused)} reused`,
    `fingerprint expected  ${style.dim(fingerprint.expected)}`,
    `            actual    ${style.dim(fingerprint.actual)}`,
    `            ${fingerprint.equal ? style.green("equal") : style.red("DIFFERENT")}`,
    ""
  ].join("\n")
}

export const build = command({
  name: "build",
  summary:
    "Build a generation under the configured model and chunker beside the live one, and let it take over",
  flags: {
    exclude: textFlags("exclude", "<document>", "Leave this document's parked build behind"),
    dryRun: flag("dry-run", "Say what would be embedded, and do nothing")
  },
  arguments: noArguments,
  run: ({ dryRun, exclude }, _, common) =>
    Effect.gen(function* () {
      const wrong = exclude.find((id) => !Schema.is(DocumentId)(id))
      if (wrong !== undefined)
        return yield* new UsageError({
          detail: `--exclude is ${JSON.stringify(wrong)}, expected the id of a document (reprise jobs list --state parked shows it).`
        })
      if (dryRun) {
        const quote = yield* withQuotes(common, {}, (quotes) => quotes.build)
        yield* print(common.json, BuildQuote, quote, (page) => buildQuotePage(page, quote))
        return quote.failures.length > 0 ? 1 : 0
      }
      return yield* withWriter(common, { command: "reprise build" }, (writer) =>
        Effect.gen(function* () {
          const excluded = exclude.map((id) => DocumentId.make(id))
          const result = yield* withProgress((progress) =>
            orOutage(writer, writer.build({ excluded, onProgress: shown(progress) }))
          )
          yield* print(common.json, Replayed, result, (page) => replayedPage(page, result))
          return codeOf(result)
        })
      )
    })
})

const buildQuotePage = ({ style }: Page, quote: BuildQuote): string => {
  const { chunks, documents, failures, model, tokens, vectors } = quote
  return [
    `Under ${style.bold(printable(model))} ${counted(documents, "document")} would be built: ${counted(chunks, "chunk")}, ${number(vectors.compute)} vectors to compute (about ${number(tokens)} tokens), ${number(vectors.reuse)} there already`,
    ...failures.map(({ reason, uri }) => `${style.cyan(printable(uri))}  ${printable(reason)}`),
    style.dim("Nothing was changed."),
    ""
  ].join("\n")
}

const VerifiedJson = Schema.Struct({
  ...VerifyReport.fields,
  recomputed: Schema.optional(Recomputed)
})

export const verify = command({
  name: "verify",
  summary: "Compare the index, read back from its own bytes, with what the log says",
  flags: {
    level: choiceFlag(
      "level",
      VerifyLevel.literals,
      "How much is read back (default: full up to a million chunks)"
    ),
    repair: flag("repair", "Mend what differs, from the log"),
    recompute: flag("recompute", "Fold the log anew and compare the generation's state with it, too")
  },
  arguments: noArguments,
  run: ({ level, recompute, repair }, _, common) => {
    const ask = { level, recompute }
    const verified = repair
      ? withWriter(common, { command: "reprise verify --repair" }, (writer) => writer.repair(ask))
      : withReader(common, { embeds: false }, (reader) => reader.verify(ask))
    return Effect.gen(function* () {
      const found = yield* verified
      const { recomputed, report } = found
      const result = { ...report, ...(recomputed !== undefined && { recomputed }) }
      yield* print(common.json, VerifiedJson, result, (page) => verifiedPage(page, found))
      return found.clean ? 0 : 1
    })
  }
})

const verifiedPage = ({ style, width }: Page, { clean, recomputed, report }: Verified): string => {
  const { different, examples, extra, fingerprint, missing, repaired, skipped, unbuilt } = report
  return [
    `Generation ${style.bold(report.generation)} at position ${number(report.position)}, level ${report.level}: ${counted(report.documents, "document")}, ${counted(report.chunks, "chunk")}\n`,
    `missing ${number(missing)}, extra ${number(extra)}, different ${number(different)}, unbuilt ${number(unbuilt)}, left out ${number(skipped)}, repaired ${number(repaired)}\n`,
    `fingerprint expected  ${style.dim(fingerprint.expected)}\n`,
    `            actual    ${style.dim(fingerprint.actual)}\n`,
    ...(recomputed === undefined
      ? []
      : [
          `the fold of the log ${recomputed.equal ? style.green("equals") : style.red("DIFFERS FROM")} the generation's state (${recomputed.frequencies} frequencies, ${recomputed.words} words, ${recomputed.windows} windows differ)\n`
        ]),
    examples.length === 0
      ? ""
      : `\n${table(
          style,
          ["what", "project", "chunk", "point", "detail"].map((title) => ({ title })),
          examples.map((one) => [one.what, one.scope, one.chunkId, one.pointId, one.detail]),
          width
        )}\n`,
    clean ? style.green("The index is what the log says.\n") : style.red("The index differs from the log.\n"),
    clean || repaired > 0
      ? ""
      : unbuilt > 0
        ? "Run: reprise build\n"
        : skipped > 0
          ? "Restore the content that is damaged (reprise log verify names it), then: reprise replay\n"
          : "Mend it with: reprise verify --repair\n"
  ].join("")
}

const Recovered = Schema.Struct({
  accepted: Schema.Boolean,
  /** What the log had lost; absent where nothing was. */
  problem: Schema.optional(Schema.String),
  headPosition: Schema.Int
})

export const recover = command({
  name: "recover",
  summary: "Go on with a log that lost its end, or was restored from an older copy",
  flags: {
    acceptRollback: flag("accept-rollback", "Give up what was lost: opens a new epoch and rebuilds the index")
  },
  arguments: noArguments,
  run: ({ acceptRollback }, _, common) =>
    Effect.gen(function* () {
      const { behind, head } = yield* withReader(common, { embeds: false }, (reader) =>
        Effect.all({
          behind: reader.behindWitness,
          head: Effect.map(reader.status(), ({ log }) => log.headPosition)
        })
      )
      if (behind === undefined) {
        const result = { accepted: false, headPosition: head }
        yield* print(
          common.json,
          Recovered,
          result,
          () => "The log has all that its witnesses have seen. Nothing to do.\n"
        )
        return 0 as const
      }
      if (!acceptRollback) return yield* behind
      const headPosition = yield* withWriter(
        common,
        { command: "reprise recover", acceptRollback: true },
        (writer, reader) =>
          Effect.zipRight(
            Effect.raceFirst(writer.settled, Effect.ignore(writer.outage)),
            Effect.map(reader.status(), ({ log }) => log.headPosition)
          )
      )
      const result = { accepted: true, problem: printable(behind.message), headPosition }
      yield* print(
        common.json,
        Recovered,
        result,
        () =>
          `The loss was accepted: the log goes on at position ${number(headPosition)} in a new epoch. Older cursors and positions are refused.\n`
      )
      yield* note("Add your sources again, or sync them, to bring back what was lost: reprise sync --full")
      return 0 as const
    })
})
