/** What is to be tested: an assistant's memory, kept in Reprise. */
import { Effect, Schema } from "effect"
import { defaultScope, Push, Reader, SearchRequest } from "reprise"

export const remember = (id: string, text: string, about: string) =>
  Effect.flatMap(Push, ({ push }) =>
    push({ id, text, metadata: { about } }, { scope: defaultScope, source: "memory" })
  )

export const forget = (id: string) =>
  Effect.flatMap(Push, ({ withdraw }) => withdraw(id, { scope: defaultScope, source: "memory" }))

export const recall = (question: string, about: string) =>
  Effect.gen(function* () {
    const { search } = yield* Reader
    const request = yield* Schema.decode(SearchRequest)({
      scope: defaultScope,
      query: question,
      mode: "hybrid",
      limit: 3,
      filter: { metadata: [{ key: "about", in: [about] }] }
    })
    const { hits } = yield* search(request)
    return hits.map(({ text }) => text.trim())
  })
