/**
 * What must hold of copies of a log after a power cut: what was answered is there and whole, what was not is absent, or
 * whole, or ends whole once it is asked for again.
 */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert } from "@effect/vitest"
import { Effect, Either } from "effect"
import * as Archive from "../../../src/log/Archive.ts"
import { documentNamed, openTestWriter } from "../../support/logEvents.ts"
import { assertLogKept } from "./LogJudge.ts"

const names = ["first", "second", "third"]
const streams = new Map(names.map((name) => [`document-${documentNamed(name)}`, 2]))

const assertCopy = (directory: string, what: string): void => {
  const rows = assertLogKept(directory, [], streams, what)
  assert.strictEqual(rows.length, 2 * names.length, `${what}: events`)
}

/** `archive`: the whole of what was exported. */
export const judgeArchives = async (
  home: string,
  promised: ReadonlyArray<string>,
  archive: string
): Promise<void> => {
  const answered = new Set(promised.map((line): string => JSON.parse(line).answered))
  const backup = join(home, "elsewhere", "backup")
  if (answered.has("backup") || existsSync(backup)) assertCopy(backup, "the backup")
  const file = join(home, "elsewhere", "log.ndjson")
  if (answered.has("export") || existsSync(file))
    assert.strictEqual(readFileSync(file, "utf8"), archive, "the export")
  if (!answered.has("export")) return
  for (const [step, directory, again] of [
    ["restore", "restored", Archive.restore(backup, join(home, "restored"))],
    ["import", "imported", Archive.importFrom(file, join(home, "imported"))]
  ] as const) {
    const place = join(home, directory)
    if (!answered.has(step)) {
      const ended = await Effect.runPromise(Effect.either(again))
      if (Either.isLeft(ended))
        assert.strictEqual(ended.left._tag, "TargetNotEmpty", `${step} again: ${ended.left.message}`)
    }
    openTestWriter(place).close()
    assertCopy(place, `what was put there by ${step}`)
  }
}
