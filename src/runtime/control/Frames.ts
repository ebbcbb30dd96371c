/**
 * The lines of the local socket, whole and of bounded length. A socket cuts what it carries anywhere, within a character,
 * too, while what reads the lines takes each piece for text of its own.
 */
import { Socket } from "@effect/platform"
import { Deferred, Effect } from "effect"

/** Of one line, in bytes: more than the longest command line of a system and its answers. */
export const largestFrame = 8 * 1024 * 1024

const newline = 10

/** Hands on whole lines alone. A line that is too long ends the connection. */
export const framed = (socket: Socket.Socket): Socket.Socket => {
  const runRaw: Socket.Socket["runRaw"] = (handler, options) =>
    Effect.flatMap(Deferred.make<never, Socket.SocketError>(), (broken) => {
      let parts: Array<Uint8Array> = []
      let held = 0
      const reading = socket.runRaw((data) => {
        const bytes = bytesOf(data)
        const first = bytes.indexOf(newline)
        if (held + (first === -1 ? bytes.length : first) > largestFrame) {
          Deferred.unsafeDone(broken, Effect.fail(tooLong))
          parts = []
          held = Number.POSITIVE_INFINITY
          return undefined
        }
        const last = bytes.lastIndexOf(newline)
        const rest = bytes.subarray(last + 1)
        if (last === -1) {
          parts.push(rest)
          held += rest.length
          return undefined
        }
        const lines = Buffer.concat([...parts, bytes.subarray(0, last + 1)])
        parts = [rest]
        held = rest.length
        return handler(lines)
      }, options)
      return Effect.raceFirst(reading, Deferred.await(broken))
    })
  return { ...socket, run: (handler, options) => runRaw((data) => handler(bytesOf(data)), options), runRaw }
}

const bytesOf = (data: string | Uint8Array): Uint8Array =>
  typeof data === "string" ? Buffer.from(data) : data

/** 1009 as WebSocket has it: the message is too big. */
const tooLong = new Socket.SocketCloseError({
  reason: "Close",
  code: 1009,
  closeReason: `A line has more than ${largestFrame} bytes.`
})
