// Keeps a help desk's answers searchable, in one process: node main.js [data directory]
import { Console, Effect, Schema } from "effect"
import { defaultScope, openEmbedded, Push, Reader, SearchRequest, Writer } from "reprise"

const answers = [
  {
    id: "refund",
    title: "Refunds",
    text: "A refund takes five working days.",
    metadata: { team: "billing" }
  },
  {
    id: "invoice",
    title: "Invoices",
    text: "An invoice is sent on the first of the month.",
    metadata: { team: "billing" }
  },
  {
    id: "reset",
    title: "Password",
    text: "Reset a password under Settings, Security.",
    metadata: { team: "support" }
  }
]

const program = Effect.gen(function* () {
  const { push } = yield* Push
  const { settled } = yield* Writer
  const { search } = yield* Reader

  // Each answer is on disk when its push returns; pushed again unchanged, it costs nothing.
  for (const answer of answers) yield* push(answer, { scope: defaultScope, source: "help-desk" })
  yield* settled // searches see all of it from here on

  const request = yield* Schema.decode(SearchRequest)({
    scope: defaultScope,
    query: "how long does a refund take",
    mode: "hybrid",
    limit: 1,
    filter: { metadata: [{ key: "team", in: ["billing"] }] }
  })
  const { hits } = yield* search(request)
  for (const hit of hits) yield* Console.log(`${hit.title}: ${hit.text}`)
})

const directory = process.argv[2] ?? ".reprise"
await Effect.runPromise(program.pipe(Effect.provide(openEmbedded({ directory, command: "help desk" }))))
