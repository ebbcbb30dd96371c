/** What the benchmarks of the log append, and where. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  DocumentSubmitted,
  DocumentVersion,
  defaultScope,
  documentId,
  documentStream,
  sha256,
  sourceId
} from "../../events/index.ts"
import type { Append } from "../../src/log/Log.ts"

const source = sourceId(defaultScope, "push", "bench")
/** Brings an event to 1 KB, as paths and metadata do. */
const filler = "0123456789abcdef".repeat(34)

/** The `n`th document is submitted: 1 KB, to a stream of its own, expected to be new. */
export const submission = (n: number): Append => {
  const document = documentId(defaultScope, source, String(n))
  return {
    ...defaultScope,
    cause: `submit-${n}`,
    actor: "bench",
    correlationId: `submit-${n}`,
    expected: [{ stream: documentStream(document), version: 0 }],
    events: [
      {
        stream: documentStream(document),
        event: new DocumentSubmitted({
          documentId: document,
          sourceId: source,
          version: DocumentVersion.make(1),
          raw: sha256(String(n)),
          rawBytes: 1000,
          descriptor: sha256(`d${n}`),
          commandId: `submit-${n}`,
          orderKey: `${filler}-${n}`
        })
      }
    ]
  }
}

/** A directory that is gone afterwards. */
export const inDirectory = <A>(use: (directory: string) => Promise<A>): Promise<A> => {
  const directory = mkdtempSync(join(tmpdir(), "reprise-bench-"))
  return use(directory).finally(() => rmSync(directory, { recursive: true, force: true }))
}

/** `start` as `performance.now()` gave it. */
export const perSecond = (count: number, start: number): number =>
  (count / (performance.now() - start)) * 1000
