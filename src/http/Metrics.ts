/**
 * The server's state in Prometheus' text format (version 0.0.4): gauges from the status, and whatever the process counts
 * itself (`Metric` of effect) under a name that begins with `reprise_`.
 */
import { Metric, MetricKeyType, MetricState } from "effect"
import type { Status } from "../runtime/Reprise.ts"

type Labels = Readonly<Record<string, string>>

interface Family {
  readonly name: string
  readonly type: "gauge" | "counter" | "histogram"
  readonly help: string
  readonly samples: ReadonlyArray<readonly [value: number, labels?: Labels, suffix?: string]>
}

const escaped = (text: string): string =>
  text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"')

const labelled = (labels: Labels = {}): string => {
  const all = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`)
  return all.length === 0 ? "" : `{${all.join(",")}}`
}

const written = ({ help, name, samples, type }: Family): string =>
  [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} ${type}`,
    ...samples.map(([value, labels, suffix = ""]) => `${name}${suffix}${labelled(labels)} ${value}`),
    ""
  ].join("\n")

export const page = (status: Status, version: string): string =>
  [...stateOf(status, version), ...counted()].map(written).join("")

const stateOf = (status: Status, version: string): ReadonlyArray<Family> => {
  const gauge = (name: string, help: string, samples: Family["samples"]): Family => ({
    name: `reprise_${name}`,
    type: "gauge",
    help,
    samples
  })
  const one = (value: number | boolean): Family["samples"] => [[Number(value)]]
  const { actors, bus, generations, indexing, lanes, providers, workers } = status
  const lane = (value: (of: Status["lanes"][number]) => number): Family["samples"] =>
    lanes.map((of) => [value(of), { lane: of.lane }])
  const generation = (value: (of: Status["generations"][number]) => number): Family["samples"] =>
    generations.map((of) => [value(of), { generation: of.id, state: of.state, engine: of.engine }])
  const states = ["queued", "processing", "completed", "failed", "cancelled", "parked"] as const
  return [
    gauge("build_info", "The program that runs.", [[1, { version }]]),
    gauge("ready", "Searches are answered and commands are taken.", one(status.ready)),
    gauge("healthy", "Work gets on, and nothing waits for a person.", one(status.healthy)),
    gauge("problems", "Problems that the status names.", one(status.problems.length)),
    gauge("head_position", "The log's last position.", one(status.log.headPosition)),
    gauge("log_bytes", "Size of the log and its content on disk.", one(status.log.bytes)),
    gauge("documents", "Live documents.", one(status.documents)),
    gauge("chunks", "Chunks of live documents.", one(status.chunks)),
    gauge("parked_documents", "Documents that were given up on.", one(status.parked)),
    gauge(
      "generation_checkpoint_position",
      "Up to where a generation is applied.",
      generation(({ checkpoint }) => checkpoint)
    ),
    gauge(
      "generation_lag_events",
      "Events that a generation is behind the log.",
      generation(({ lag }) => lag)
    ),
    gauge("index_paused", "Whether applying to the live generation is paused.", [
      [Number(indexing.paused), {}]
    ]),
    gauge(
      "lane_jobs",
      "Jobs of a lane by state.",
      lanes.flatMap((of) =>
        states.map((state): Family["samples"][number] => [of[state], { lane: of.lane, state }])
      )
    ),
    gauge(
      "lane_paused",
      "Whether a lane is paused.",
      lane(({ paused }) => Number(paused))
    ),
    gauge(
      "lane_oldest_age_seconds",
      "Age of a lane's oldest unfinished job; 0 where there is none.",
      lane(({ oldestAgeMs }) => (oldestAgeMs ?? 0) / 1000)
    ),
    gauge("bus_connected", "Whether the bus is connected.", [[Number(bus.connected), { kind: bus.kind }]]),
    gauge(
      "provider_circuit_open",
      "Whether an embedding provider failed so often that it is left alone for a while.",
      providers.map(({ circuit, provider }) => [Number(circuit !== "closed"), { provider }])
    ),
    gauge(
      "provider_pause_seconds",
      "In what time an embedding provider is asked again; 0 if it may be asked now.",
      providers.map(({ pauseMs, provider }) => [pauseMs / 1000, { provider }])
    ),
    gauge(
      "worker_seen_seconds",
      "How long ago a worker asked for work.",
      workers.map(({ lane, seenMsAgo, worker }) => [seenMsAgo / 1000, { lane, worker }])
    ),
    gauge(
      "worker_unfit",
      "Whether a worker gets no work because its code differs.",
      workers.map(({ lane, unfit, worker }) => [unfit === undefined ? 0 : 1, { lane, worker }])
    ),
    {
      name: "reprise_actor_restarts_total",
      type: "counter",
      help: "Restarts of an actor.",
      samples: actors.map(({ name, restarts }) => [restarts, { actor: name }])
    },
    {
      name: "reprise_actor_processed_total",
      type: "counter",
      help: "Messages that an actor is done with.",
      samples: actors.map(({ name, processed }) => [processed, { actor: name }])
    }
  ]
}

/** What the process counts itself. */
const counted = (): ReadonlyArray<Family> => {
  const families = new Map<string, Family>()
  for (const { metricKey, metricState } of Metric.unsafeSnapshot()) {
    const { name, tags } = metricKey
    if (!name.startsWith("reprise_")) continue
    const labels = Object.fromEntries([...tags].map(({ key, value }) => [key, value]))
    const found: Omit<Family, "name" | "help"> | undefined = MetricState.isCounterState(metricState)
      ? { type: "counter", samples: [[Number(metricState.count), labels]] }
      : MetricState.isHistogramState(metricState)
        ? {
            type: "histogram",
            samples: [
              ...metricState.buckets.map(([bound, count]): Family["samples"][number] => [
                count,
                { ...labels, le: Number.isFinite(bound) ? String(bound) : "+Inf" },
                "_bucket"
              ]),
              [metricState.sum, labels, "_sum"],
              [metricState.count, labels, "_count"]
            ]
          }
        : undefined
    if (found === undefined || MetricKeyType.isGaugeKey(metricKey.keyType)) continue
    const help = metricKey.description._tag === "Some" ? metricKey.description.value : name
    const before = families.get(name)
    families.set(name, { ...found, name, help, samples: [...(before?.samples ?? []), ...found.samples] })
  }
  return [...families.values()]
}
