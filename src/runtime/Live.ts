/** The part of a status that stands in no file. */
import { Schema } from "effect"
import { type Status, StatusActor, StatusBus, StatusProvider, StatusWorker } from "./Reprise.ts"

/** What only the running process knows, beside what its files say. */
export const Live = Schema.Struct({
  actors: Schema.Array(StatusActor),
  bus: Schema.Struct({ ...StatusBus.fields, connected: Schema.Boolean }),
  providers: Schema.Array(StatusProvider),
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
export const withLive = (
  status: Status,
  { actors, alive, bus, providers, ready, reasons, workers }: Live
): Status => {
  // Waited for, so that no restart is called for; but somebody should know.
  const away = providers.flatMap(({ circuit, lastError, pauseMs, provider }) =>
    circuit === "closed"
      ? []
      : [
          `The embedding provider ${provider} fails and is asked again ${pauseMs > 0 ? `in ${Math.ceil(pauseMs / 1000)} s` : "soon"}: ${lastError?.message ?? "no reason is known"}`
        ]
  )
  return {
    ...status,
    runtime: "serve",
    actors,
    bus,
    providers,
    workers,
    ready: status.ready && ready,
    healthy: status.healthy && alive && ready && away.length === 0,
    problems: [...status.problems, ...reasons, ...away]
  }
}
