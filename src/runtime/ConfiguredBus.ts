/** The bus that the settings name. What is configured is what runs: there is no falling back. */
import { Effect, Layer } from "effect"
import type { Bus } from "../bus/Bus.ts"
import * as InProcessBus from "../bus/InProcessBus.ts"
import type { Content } from "../log/Content.ts"
import type { NatsNotUsable, NatsRole } from "./ConfiguredNats.ts"
import type { Settings } from "./Settings.ts"

/** For the process that has the log. */
export const configuredBus = (
  settings: Settings,
  role: NatsRole
): Layer.Layer<Bus, NatsNotUsable, Content> =>
  settings.bus === "memory"
    ? InProcessBus.layer()
    : Layer.unwrapEffect(
        Effect.map(
          Effect.promise(() => import("./ConfiguredNats.ts")),
          ({ serving }) => serving(settings, role)
        )
      )
