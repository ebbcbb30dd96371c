/**
 * Where a data directory keeps its generations, and what reads them.
 */
import { join } from "node:path"
import type { FailpointsService } from "../faults/Failpoints.ts"
import * as EmbeddedIndex from "../index/EmbeddedIndex.ts"
import { GenerationState } from "../index/GenerationState.ts"
import type { GenerationRef } from "../index/Index.ts"
import type { ProjectionContext } from "../index/Projection.ts"
import type { LogSnapshot } from "../log/LogSnapshot.ts"
import { analyzerOf } from "./Analyzers.ts"

export interface IndexContext extends ProjectionContext {
  readonly deleteState: (path: string) => void
}

/** The epoch is part of every name: what a process of an older epoch still writes lands elsewhere. */
export const statePath = (directory: string, ref: Pick<GenerationRef, "generation" | "epoch">): string =>
  join(directory, "state", `${ref.generation}-e${ref.epoch}.sqlite`)

export const indexContext = (
  directory: string,
  snapshot: LogSnapshot,
  memoryMiB: number,
  failpoints: FailpointsService
): IndexContext => ({
  engine: EmbeddedIndex.make({ directory: join(directory, "index"), memoryMiB }, failpoints),
  snapshot,
  analyzerOf,
  statePath: (ref) => statePath(directory, ref),
  deleteState: GenerationState.delete
})
