/** A directory of its own for a test, removed with its scope. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"

export const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "reprise-test-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)
