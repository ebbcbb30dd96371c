/** A directory of its own for a test, removed with its scope. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"

/** Whoever asks for it removes it. */
export const temporaryFolder = (): string => mkdtempSync(join(tmpdir(), "reprise-test-"))

export const temporaryDirectory = Effect.acquireRelease(Effect.sync(temporaryFolder), (directory) =>
  Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)
