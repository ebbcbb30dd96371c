/** Every bus, by name. Another implementation is one more line here, and nothing else. */
import { Duration } from "effect"
import * as InProcessBus from "../../src/bus/InProcessBus.ts"
import { type BusUnderTest, busConformance } from "../conformance/bus.ts"

const buses: { readonly [name: string]: BusUnderTest } = {
  "in process": { layer: InProcessBus.layer, ackWait: Duration.millis(120) }
}

for (const [name, bus] of Object.entries(buses)) busConformance(name, bus)
