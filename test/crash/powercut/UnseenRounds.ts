/** What is written of a generation that nobody reads: rounds of points, each marked. */
import { Effect } from "effect"
import {
  ChunkId,
  DocumentId,
  GenerationId,
  ProjectName,
  type ProjectScope,
  pointId,
  TeamName
} from "../../../events/Ids.ts"
import type { EngineGeneration, GenerationRef, Point } from "../../../src/index/Index.ts"
import { forever } from "../../../src/index/Index.ts"

const dimensions = 512

/** How many points come in each round: more than are kept in memory in one of them. */
export const rounds = [5, 3_600, 40, 900]
export const scope: ProjectScope = { team: TeamName.make("acme"), project: ProjectName.make("docs") }

export const ref: GenerationRef = {
  generation: GenerationId.make("g001"),
  logId: "7d0c3f9e5b1a",
  epoch: 1,
  spec: {
    engine: "embedded",
    chunker: "test-0123456789ab" as GenerationRef["spec"]["chunker"],
    model: "test-0123456789ab" as GenerationRef["spec"]["model"],
    modelName: "test",
    dimensions,
    analyzer: "test-0123456789ab" as GenerationRef["spec"]["analyzer"],
    payload: 1
  }
}

const uuid = (n: number) => `${n.toString(16).padStart(8, "0")}-0000-5000-8000-000000000000`

export const pointsOf = (round: number): ReadonlyArray<Point> =>
  Array.from({ length: rounds[round - 1] ?? 0 }, (_, n) => {
    const chunkId = ChunkId.make(uuid(10_000 * round + ((n * 7919) % 9_973)))
    return {
      id: pointId(chunkId, round),
      scope,
      documentId: DocumentId.make(uuid(n % 7)),
      chunkId,
      payload: "{}",
      dense: new Float32Array(dimensions).fill(1 / Math.sqrt(dimensions)),
      sparse: { ids: Uint32Array.of(n % 13, 100 + (n % 17)), weights: Float32Array.of(1, 0.5) },
      from: round,
      until: forever
    }
  })

/** Writes the rounds after one, in batches. */
export const writeAfter = (
  index: EngineGeneration,
  round: number,
  marked: (round: number) => void
): Effect.Effect<void, unknown> =>
  Effect.gen(function* () {
    yield* index.unseen?.(true) ?? Effect.void
    for (let next = round + 1; next <= rounds.length; next++) {
      const points = pointsOf(next)
      for (let at = 0; at < points.length; at += 900) yield* index.insert(points.slice(at, at + 900))
      yield* index.mark({ logId: ref.logId, epoch: ref.epoch, checkpoint: next, horizon: 0 })
      marked(next)
    }
    yield* index.unseen?.(false) ?? Effect.void
  })
