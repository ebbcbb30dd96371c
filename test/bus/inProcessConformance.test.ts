import { Duration } from "effect"
import * as InProcessBus from "../../src/bus/InProcessBus.ts"
import { busConformance } from "../conformance/bus.ts"

busConformance("in process", { layer: InProcessBus.layer, ackWait: Duration.millis(120) })
