/** Every bus, by name. Another implementation is one more line here, and nothing else. */
import { Duration, Effect, Layer } from "effect"
import type { BusOptions } from "../../src/bus/Bus.ts"
import * as InProcessBus from "../../src/bus/InProcessBus.ts"
import * as Connection from "../../src/bus/nats/Connection.ts"
import * as NatsBus from "../../src/bus/nats/NatsBus.ts"
import { usualStreamOptions } from "../../src/bus/nats/Streams.ts"
import { type BusUnderTest, busConformance } from "../conformance/bus.ts"
import { natsServer } from "../support/NatsServer.ts"
import { optionsFor } from "../support/natsClient.ts"

/** A server of its own for each test. */
const natsBus = (options: BusOptions) =>
  Layer.unwrapScoped(
    Effect.map(natsServer(), ({ url }) =>
      NatsBus.layer({ ...usualStreamOptions, ...options }).pipe(
        Layer.provide(Connection.layer(optionsFor(url)))
      )
    )
  )

const buses: { readonly [name: string]: BusUnderTest } = {
  "in process": { layer: InProcessBus.layer, ackWait: Duration.millis(120) },
  nats: { layer: natsBus, ackWait: Duration.millis(400) }
}

for (const [name, bus] of Object.entries(buses)) busConformance(name, bus)
