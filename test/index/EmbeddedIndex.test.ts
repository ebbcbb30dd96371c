import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer } from "effect"
import { layer } from "../../src/index/EmbeddedIndex.ts"
import { indexConformance } from "../conformance/index.ts"

const temporary = Layer.unwrapScoped(
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "reprise-index-"))),
      (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
    ),
    (directory) => layer({ directory: join(directory, "index") })
  )
)

indexConformance("embedded", temporary)
