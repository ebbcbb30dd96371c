/**
 * What must hold of a whole data directory after a power cut in the middle of an errand. The product opens it and comes to
 * rest; then the second readers look: each document is as the last answered step left it, or as the one that was under way
 * would, nothing else is there, and the index holds exactly that.
 */
import { join } from "node:path"
import { assert } from "@effect/vitest"
import { Duration, Effect, Logger, LogLevel, Schema } from "effect"
import { defaultScope, sha256 } from "../../../events/Ids.ts"
import { filesIn } from "../../../src/runtime/DataDirectory.ts"
import * as Embedded from "../../../src/runtime/Embedded.ts"
import { pushedDocumentId } from "../../../src/runtime/Push.ts"
import { Reader, Writer } from "../../../src/runtime/Reprise.ts"
import { Settings } from "../../../src/runtime/Settings.ts"
import { eventsIn, type LogRow, liveVersionsAt } from "../../model/LogFile.ts"
import { assertWhole } from "../../support/wholeDirectory.ts"
import type { Errand, Step } from "./Errand.ts"

/** The text of each document after these steps: plain counting. */
const textsAfter = (steps: ReadonlyArray<Step>): ReadonlyMap<string, string> => {
  const texts = new Map<string, string>()
  for (const step of steps) {
    if (step.step === "push") texts.set(step.id, step.text)
    if (step.step === "withdraw" || step.step === "erase") texts.delete(step.id)
  }
  return texts
}

const idsIn = (steps: ReadonlyArray<Step>): ReadonlySet<string> =>
  new Set(steps.flatMap((step) => ("id" in step ? [step.id] : [])))

/** Documents that live, each with the digest of its bytes. */
const liveIn = (rows: ReadonlyArray<LogRow>): ReadonlyMap<string, string> => {
  const raw = new Map<string, string>()
  for (const row of rows) {
    const { documentId, raw: digest, version } = JSON.parse(row.data.toString("utf8"))
    if (row.type.toString("utf8") === "DocumentSubmitted") raw.set(`${documentId} ${version}`, digest)
  }
  const pair = { chunker: "", model: "" }
  return new Map(
    [...liveVersionsAt(rows, rows.length, pair)].map(([document, { version }]) => [
      document,
      raw.get(`${document} ${version}`) ?? "unknown"
    ])
  )
}

/** `answered`: how many steps were. */
export const judgeRuntime = async (
  errand: Errand,
  data: string,
  answered: number,
  what: string
): Promise<void> => {
  const before = textsAfter(errand.steps.slice(0, answered))
  const after = textsAfter(errand.steps.slice(0, answered + 1))
  const settings = {
    ...Schema.decodeSync(Settings)(errand.settings),
    storage: { keepFor: Duration.zero, keepVersions: 0, grace: Duration.zero, gcInterval: "off" as const }
  }
  const verified = await Effect.runPromise(
    Effect.gen(function* () {
      const writer = yield* Writer
      yield* writer.settled
      const isBuilding = errand.steps[answered]?.step === "replay"
      if (isBuilding) yield* writer.replay(() => Effect.void)
      return yield* (yield* Reader).verify({ level: "full", recompute: true })
    }).pipe(
      Effect.provide(
        Embedded.layer({
          configuration: { settings, directory: { path: data, origin: "flag", files: filesIn(data, join) } },
          command: "test",
          threads: false
        })
      ),
      Effect.scoped,
      Effect.provide(Logger.minimumLogLevel(LogLevel.None))
    )
  )
  assert.isTrue(verified.clean, `${what}: ${JSON.stringify(verified.report)}`)
  const rows = eventsIn(join(data, "log.sqlite"))
  const live = liveIn(rows)
  const known = new Map(
    [...idsIn(errand.steps)].map((id) => [pushedDocumentId(defaultScope, "notes", id), id])
  )
  for (const [document, digest] of live) {
    const id = known.get(document as never) ?? ""
    const allowed = [before.get(id), after.get(id)].flatMap((text) =>
      text === undefined ? [] : [sha256(text)]
    )
    assert.include(allowed, digest, `${what}: ${id} is as it was asked for`)
  }
  for (const id of before.keys())
    if (after.has(id))
      assert.isTrue(live.has(pushedDocumentId(defaultScope, "notes", id)), `${what}: ${id} was acknowledged`)
  if (live.size === 0) return
  const whole = assertWhole(data, what)
  assert.strictEqual(whole.index.fingerprint, verified.report.fingerprint.expected, `${what}: fingerprint`)
}
