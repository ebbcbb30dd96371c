/** Closing what one fiber opened in another. */
import { Effect, Exit, Fiber, Scope } from "effect"

/**
 * Closes a scope in a fiber of its own. Whoever runs a finalizer has the fiber refs of where it was added, and keeps a record of
 * them afterwards: what it opened next would hold that record, and with each closing and opening all that was ever opened before.
 */
export const closeApart = (scope: Scope.CloseableScope): Effect.Effect<void> =>
  Scope.close(scope, Exit.void).pipe(
    Effect.forkDaemon,
    Effect.flatMap(Fiber.await),
    Effect.flatten,
    // Whoever is interrupted meanwhile waits: nobody opens again what is still being closed.
    Effect.uninterruptible
  )
