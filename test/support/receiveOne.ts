import { Effect } from "effect"
import type { Lane } from "../../events/Job.ts"
import type { BusService, BusUnavailable, Delivery, WorkOrder } from "../../src/bus/Bus.ts"

/** The next order of a lane, as a worker of one slot takes it. */
export const receiveOne = (
  bus: Pick<BusService, "receive">,
  lane: Lane
): Effect.Effect<Delivery<WorkOrder>, BusUnavailable> =>
  Effect.flatMap(bus.receive(lane, 1), ([delivery]) =>
    delivery === undefined ? Effect.dieMessage("No order was handed out.") : Effect.succeed(delivery)
  )
