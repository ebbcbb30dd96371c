/**
 * Bodies and vectors, addressed by digest within a project. Reading only: they are written through the log, which
 * syncs them before the event that names them.
 */
import { Context, type Effect } from "effect"
import type { CodeFingerprint, Digest, ProjectScope } from "../../events/Ids.ts"
import type { LogFailed } from "./Log.ts"

export interface ContentService {
  /** The body, checked against its digest; `undefined` where it is not stored (never, or collected, or erased). */
  readonly blob: (scope: ProjectScope, digest: Digest) => Effect.Effect<Uint8Array | undefined, LogFailed>
  /** Which of these are stored. */
  readonly hasBlobs: (
    scope: ProjectScope,
    digests: ReadonlyArray<Digest>
  ) => Effect.Effect<ReadonlySet<Digest>, LogFailed>
  /** The digests of the stored vectors' bytes, by input hash; what is missing is absent from the map. */
  readonly vectorDigests: (
    scope: ProjectScope,
    model: CodeFingerprint,
    inputs: ReadonlyArray<Digest>
  ) => Effect.Effect<ReadonlyMap<Digest, Digest>, LogFailed>
  /** Vectors in the order asked for. */
  readonly vectors: (
    scope: ProjectScope,
    model: CodeFingerprint,
    inputs: ReadonlyArray<Digest>
  ) => Effect.Effect<ReadonlyArray<Float32Array | undefined>, LogFailed>
}

export class Content extends Context.Tag("reprise/log/Content")<Content, ContentService>() {}
