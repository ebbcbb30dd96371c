import { Effect } from "effect"
import type { BusService, BusUnavailable, Claim, ClaimRequest } from "../../src/bus/Bus.ts"

/** Asks for one order, as a worker of one slot does. */
export const claimOne = (
  bus: Pick<BusService, "claim">,
  request: ClaimRequest
): Effect.Effect<Claim, BusUnavailable> =>
  Effect.flatMap(bus.claim([request]), ([claim]) =>
    claim === undefined ? Effect.dieMessage("No answer came.") : Effect.succeed(claim)
  )
