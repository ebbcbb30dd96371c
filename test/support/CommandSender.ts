/**
 * Sends commands as somebody does who has nothing but a NATS client: publishes each, and again until it is answered.
 * A publish acknowledgement is not waited for; it means nothing final.
 */
import { Effect, type Scope } from "effect"
import { connect, type NatsConnection } from "nats"

export interface Command {
  readonly team: string
  readonly project: string
  readonly name: "DocumentSubmit" | "DocumentRemove"
  readonly body: { readonly commandId: string } & Readonly<Record<string, unknown>>
}

export interface CommandSender {
  readonly client: NatsConnection
  /** Until its first answer came. */
  readonly send: (command: Command) => Effect.Effect<void>
  /** Once more, and until one more answer came. */
  readonly again: (command: Command) => Effect.Effect<void>
  /** Every answer that came, by command id. */
  readonly answers: ReadonlyMap<string, ReadonlyArray<string>>
  /** What was told of commands that could not be answered. */
  readonly rejections: ReadonlyArray<string>
  readonly sent: () => number
}

export interface SenderOptions {
  readonly servers: string
  readonly user: string
  readonly pass: string
  /** How long an answer is waited for before the command is sent again. */
  readonly patienceMs: number
}

export const commandSender = ({
  patienceMs,
  ...server
}: SenderOptions): Effect.Effect<CommandSender, never, Scope.Scope> =>
  Effect.gen(function* () {
    const client = yield* Effect.acquireRelease(
      Effect.promise(() =>
        connect({ ...server, maxReconnectAttempts: -1, reconnectTimeWait: 100, reconnectJitter: 50 })
      ),
      (one) => Effect.promise(() => one.close())
    )
    const answers = new Map<string, Array<string>>()
    const rejections: Array<string> = []
    const waiting = new Map<string, () => void>()
    let sent = 0
    client.subscribe("reprise.answer.>", {
      callback: (error, message) => {
        if (error !== null) return
        const commandId = message.subject.split(".").at(-1) ?? ""
        answers.set(commandId, [...(answers.get(commandId) ?? []), message.string()])
        waiting.get(commandId)?.()
      }
    })
    client.subscribe("reprise.rejected.>", {
      callback: (error, message) => {
        if (error === null) rejections.push(message.string())
      }
    })
    const publish = ({ body, name, project, team }: Command) =>
      Effect.sync(() => {
        sent++
        client.publish(`reprise.command.${team}.${project}.${name}`, JSON.stringify(body))
      })
    const countOf = (commandId: string) => answers.get(commandId)?.length ?? 0
    const answered = (commandId: string, times: number) =>
      Effect.async<void>((resume) => {
        const look = () => {
          if (countOf(commandId) < times) return
          waiting.delete(commandId)
          resume(Effect.void)
        }
        waiting.set(commandId, look)
        look()
        return Effect.sync(() => waiting.delete(commandId))
      })
    const until = (command: Command, times: number): Effect.Effect<void> =>
      Effect.gen(function* () {
        const { commandId } = command.body
        while (countOf(commandId) < times) {
          yield* publish(command)
          yield* Effect.timeoutOption(answered(commandId, times), patienceMs)
        }
      })
    return {
      client,
      send: (command) => until(command, 1),
      again: (command) => Effect.suspend(() => until(command, countOf(command.body.commandId) + 1)),
      answers,
      rejections,
      sent: () => sent
    }
  })
