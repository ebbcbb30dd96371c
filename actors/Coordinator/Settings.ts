/**
 * What the Coordinator is configured with: the spec that commits are to be made under, and its limits.
 */
import { Context, Duration } from "effect"
import { type Spec, samePair } from "../../events/Generation.ts"
import type { Lane } from "../../events/Job.ts"
import type { LaneLimits } from "./Jobs.ts"
import type { Pair } from "./Work.ts"

export interface CoordinatorSettings {
  /** What is configured. Another (chunker, model, analyzer) than the live generation's takes no new content. */
  readonly spec: Spec
  /** Failed attempts after which a job is parked. */
  readonly attempts: number
  /** Deaths of the process while a job ran alone, after which it is parked. */
  readonly crashes: number
  readonly firstRetry: Duration.Duration
  readonly longestRetry: Duration.Duration
  readonly lanes: { readonly [lane in Lane]: LaneLimits }
  /** How long an order may stay unclaimed before it is sent again. */
  readonly unclaimed: Duration.Duration
  /** How long a worker that claimed a job may stay without a sign of life. */
  readonly lease: Duration.Duration
  /** Mutations that may be open in memory; further submissions wait. */
  readonly open: number
  /** Builds that may be under way for a generation. */
  readonly builds: number
  /** Whether workers here have what builds under a pair need. Others wait for a program that is configured for them. */
  readonly canBuild: (pair: Pair) => boolean
  /** How many may stand in a line of commits behind one that is not ready, and how long. */
  readonly line: { readonly places: number; readonly patience: Duration.Duration }
  /** Messages that may wait. */
  readonly mailbox: number
  /** How long appends may be held. */
  readonly hold: Duration.Duration
  /** How often leases and retries are looked at. */
  readonly tick: Duration.Duration
  /** Mutations that ended, remembered for whoever asks after the fact what they cost. */
  readonly remembered: number
}

export const usualSettings = (spec: Spec): CoordinatorSettings => ({
  spec,
  attempts: 5,
  // As many as attempts: somebody who kills the process again and again must not be taken for a document that does.
  crashes: 5,
  firstRetry: Duration.millis(500),
  longestRetry: Duration.minutes(1),
  lanes: {
    // Of `prepareWeight`: 64 small documents, 32 large ones. What comes back of more together holds the thread for too long.
    prepare: { window: 64, limitMs: 120_000 },
    // Counted in inputs: enough for several batches at a time of a provider that takes them.
    embed: { window: 512, limitMs: 900_000 }
  },
  unclaimed: Duration.seconds(30),
  lease: Duration.seconds(30),
  open: 4096,
  builds: 64,
  canBuild: (pair) => samePair(pair, spec),
  line: { places: 256, patience: Duration.seconds(30) },
  mailbox: 1024,
  hold: Duration.seconds(30),
  tick: Duration.millis(200),
  remembered: 16_384
})

export class Settings extends Context.Tag("reprise/actors/Coordinator/Settings")<
  Settings,
  CoordinatorSettings
>() {}
