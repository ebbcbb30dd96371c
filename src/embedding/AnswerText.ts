/**
 * The body of an HTTP answer as text, bounded in bytes: what a server sends decides how much it sends, not how much of it
 * is kept here.
 */
import type { HttpClientError, HttpClientResponse } from "@effect/platform"
import { Effect, Stream } from "effect"

export interface AnswerText {
  readonly text: string
  /** There was more than was asked for; it was not read, and with the scope of the request its connection is dropped. */
  readonly isCut: boolean
}

/** At most `mostBytes` and the part in which they end are held. */
export const answerText = (
  response: HttpClientResponse.HttpClientResponse,
  mostBytes: number
): Effect.Effect<AnswerText, HttpClientError.ResponseError> =>
  Effect.suspend(() => {
    const parts: Array<Uint8Array> = []
    let bytes = 0
    const reading = Stream.runForEachWhile(response.stream, (part) =>
      Effect.sync(() => {
        parts.push(part)
        bytes += part.length
        return bytes <= mostBytes
      })
    )
    return Effect.map(reading, () => ({
      text: Buffer.concat(parts).subarray(0, mostBytes).toString("utf8"),
      isCut: bytes > mostBytes
    }))
  })
