/**
 * Layers built one upon the other, in the order in which they are written down.
 *
 * A tree of layers that are merged and provided looks for each of them, and for each of its own nodes, in a map of layers, so
 * that what stands in it twice is built once: a hundred and more steps of a fiber for a node, which a process that has just
 * started takes at some microseconds each. Where each is needed once, a list does.
 */
import { Context, Effect, Layer, type Scope } from "effect"

/** What is given, and what a layer makes of it for as long as the scope lives. */
export const upon = <A, B, E>(
  given: Context.Context<A>,
  layer: Layer.Layer<B, E, NoInfer<A>>
): Effect.Effect<Context.Context<A | B>, E, Scope.Scope> =>
  Layer.build(layer).pipe(
    Effect.provide(given),
    Effect.map((made) => Context.merge(given, made))
  )
