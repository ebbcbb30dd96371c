/** Searches of a run: what each asked for, what it was answered, and what it had to see. */
import { Context, Effect } from "effect"
import { Search, type SearchAnswer } from "../../src/search/Search.ts"
import { type Sent, scopeOf } from "./Commands.ts"
import type { Served } from "./Server.ts"
import { everywhere } from "./Surroundings.ts"

export interface Searched {
  readonly life: number
  /** The highest position that this process had answered for the project when the search began. */
  readonly floor: number
  readonly project: string
  readonly answer: SearchAnswer
}

/** The process died with the request in hand. */
export class Gone {
  readonly _tag = "Gone"
}

interface Asked {
  readonly project: string
  readonly sparse: boolean
  /** Of the process that is asked. */
  readonly life: number
  /** The sequence that the answer has to include. */
  readonly atLeast: number | undefined
}

/** On the server, as it is now. */
type Call = <A, E>(
  use: (served: Context.Context<Served>) => Effect.Effect<A, E>
) => Effect.Effect<A, E | Gone>

export class Searches {
  readonly answered: Array<Searched> = []
  readonly #sent: ReadonlyArray<Sent>
  readonly #note: (what: string) => void
  readonly #break: (why: string) => void

  constructor(sent: ReadonlyArray<Sent>, note: (what: string) => void, broken: (why: string) => void) {
    this.#sent = sent
    this.#note = note
    this.#break = broken
  }

  /** The last sequence of a project that anybody was told. */
  acknowledged(project: string): number {
    return Math.max(
      0,
      ...this.#sent.map(({ answer, command }) =>
        command.scope.project === project ? (answer?.sequence ?? 0) : 0
      )
    )
  }

  search({ atLeast, life, project, sparse }: Asked, call: Call): Effect.Effect<void> {
    const floor = this.#floor(project, life)
    return call((served) =>
      Context.get(served, Search).search({
        scope: scopeOf(project),
        query: everywhere,
        mode: sparse ? "sparse" : "hybrid",
        limit: 500,
        filter: {},
        ...(atLeast === undefined ? {} : { minPosition: atLeast }),
        waitMs: atLeast === undefined ? 0 : 5000
      })
    ).pipe(
      Effect.flatMap((answer) =>
        Effect.sync(() => {
          this.#note(`${project} has ${answer.hits.length} hits at ${answer.indexedPosition}`)
          this.answered.push({ life, floor, project, answer })
          if (answer.indexedPosition < (atLeast ?? 0))
            this.#break(
              `I10: a search that was to include ${atLeast} was answered at ${answer.indexedPosition}`
            )
        })
      ),
      Effect.catchAllCause((cause) =>
        Effect.sync(() => this.#note(`no search: ${String(cause).split("\n")[0]}`))
      )
    )
  }

  #floor(project: string, life: number): number {
    return Math.max(
      0,
      ...this.answered.flatMap((one) =>
        one.life === life && one.project === project ? [one.answer.indexedPosition] : []
      )
    )
  }
}
