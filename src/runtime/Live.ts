/** The part of a status that stands in no file. */
import { Schema } from "effect"
import { type Status, StatusActor, StatusBus, StatusWorker } from "./Reprise.ts"

/** What only the running process knows, beside what its files say. */
export const Live = Schema.Struct({
  actors: Schema.Array(StatusActor),
  bus: Schema.Struct({ ...StatusBus.fields, connected: Schema.Boolean }),
  workers: Schema.Array(StatusWorker),
  /** Searches are answered and commands are taken. */
  ready: Schema.Boolean,
  /** Work gets on. */
  alive: Schema.Boolean,
  /** Why not. */
  reasons: Schema.Array(Schema.String)
})
export type Live = typeof Live.Type

/** What a status says of a data directory, with what its running server knows. */
export const withLive = (status: Status, { actors, alive, bus, ready, reasons, workers }: Live): Status => ({
  ...status,
  runtime: "serve",
  actors,
  bus,
  workers,
  ready: status.ready && ready,
  healthy: status.healthy && alive && ready,
  problems: [...status.problems, ...reasons]
})
