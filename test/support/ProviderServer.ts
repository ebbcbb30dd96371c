/**
 * An embedding provider on 127.0.0.1 that speaks OpenAI's protocol with deterministic vectors, and misbehaves on command.
 */
import { createHash } from "node:crypto"
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http"
import { createServer as createTlsServer } from "node:https"
import type { Socket } from "node:net"
import { Effect, type Scope } from "effect"
import { selfSigned } from "./SelfSigned.ts"

/** What one request meets instead of a good answer. */
export type Misbehaviour =
  | {
      readonly kind: "status"
      readonly status: number
      readonly body?: string
      readonly headers?: Record<string, string>
    }
  /** 429. */
  | { readonly kind: "busy"; readonly retryAfter?: string; readonly code?: string }
  | { readonly kind: "silent" }
  | { readonly kind: "slow"; readonly ms: number }
  /** A good answer, a byte every `ms`. */
  | { readonly kind: "drip"; readonly ms: number }
  | { readonly kind: "reset" }
  | { readonly kind: "cut" }
  | { readonly kind: "html" }
  | { readonly kind: "endless" }
  | { readonly kind: "body"; readonly body: string }
  | { readonly kind: "too few" }
  | { readonly kind: "too many" }
  | { readonly kind: "shuffled" }
  | { readonly kind: "repeated index" }
  | { readonly kind: "no index" }
  | { readonly kind: "wrong dimensions" }
  /** The first component becomes this JSON, in the vectors of inputs that hold `word` (of all, without it). */
  | { readonly kind: "component"; readonly json: string; readonly word?: string }
  | { readonly kind: "zero"; readonly word?: string }
  /** 400 (or `status`) if an input holds this word, else a good answer. */
  | { readonly kind: "refuses"; readonly word: string; readonly status?: number; readonly message?: string }
  /** 400 if there are more inputs than this. */
  | { readonly kind: "at most"; readonly inputs: number }
  | { readonly kind: "redirect"; readonly to: string; readonly status?: number }
  /** 401 whose text repeats the key. */
  | { readonly kind: "echoes the key" }
  /** 422 whose text repeats the inputs. */
  | { readonly kind: "echoes the inputs" }
  /** Vectors of another model under the same name. */
  | { readonly kind: "other model" }

export interface ReceivedRequest {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: {
    readonly model: string
    readonly input: ReadonlyArray<string>
    readonly encoding_format?: string
    readonly dimensions?: number
  }
}

export interface ProviderServer {
  /** Without `/v1`. */
  readonly url: string
  readonly requests: ReadonlyArray<ReceivedRequest>
  /** How many inputs were answered with a vector: what a bill would count. */
  readonly embedded: () => number
  /** Connections opened so far, and those that are open now. */
  readonly connections: () => { readonly opened: number; readonly open: number }
  /** The most requests that were in hand at once. */
  readonly mostAtOnce: () => number
  /** The next requests meet these, one each; then what `always` says. */
  readonly next: (...misbehaviours: ReadonlyArray<Misbehaviour>) => void
  readonly always: (misbehaviour: Misbehaviour | undefined) => void
}

export interface ProviderServerOptions {
  readonly tls?: boolean
  readonly dimensions?: number
  /** What a request meets when neither `next` nor `always` says anything. */
  readonly usually?: () => Misbehaviour | undefined
  /** How many of the last requests are remembered; all, unless told. */
  readonly remembered?: number
}

export const usualDimensions = 8

export const makeProviderServer = (
  options: ProviderServerOptions = {}
): Effect.Effect<ProviderServer, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.async<Running>((resume) => listen(options, (running) => resume(Effect.succeed(running)))),
      ({ close }) => Effect.async<void>((resume) => close(() => resume(Effect.void)))
    ),
    ({ handle }) => handle
  )

interface Running {
  readonly handle: ProviderServer
  readonly close: (closed: () => void) => void
}

const listen = (options: ProviderServerOptions, ready: (running: Running) => void): void => {
  const requests: Array<ReceivedRequest> = []
  const sockets = new Set<Socket>()
  const timers = new Set<NodeJS.Timeout>()
  let opened = 0
  let embedded = 0
  let atOnce = 0
  let mostAtOnce = 0
  let queue: Array<Misbehaviour> = []
  let usual: Misbehaviour | undefined

  const later = (ms: number, act: () => void) => {
    const timer = setTimeout(() => {
      timers.delete(timer)
      act()
    }, ms)
    timers.add(timer)
  }
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    atOnce++
    mostAtOnce = Math.max(mostAtOnce, atOnce)
    response.on("close", () => atOnce--)
    response.on("error", () => {})
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("error", () => {})
    request.on("end", () => {
      const received: ReceivedRequest = {
        path: request.url ?? "",
        headers: request.headers,
        body: JSON.parse(Buffer.concat(chunks).toString("utf8"))
      }
      requests.push(received)
      if (requests.length > (options.remembered ?? Number.POSITIVE_INFINITY)) requests.shift()
      respond({
        received,
        response,
        misbehaviour: queue.shift() ?? usual ?? options.usually?.(),
        dimensions: received.body.dimensions ?? options.dimensions ?? usualDimensions,
        later,
        count: (inputs) => {
          embedded += inputs
        }
      })
    })
  }
  const server = options.tls === true ? createTlsServer(selfSigned, listener) : createServer(listener)
  server.on("connection", (socket: Socket) => {
    opened++
    sockets.add(socket)
    socket.on("close", () => sockets.delete(socket))
    socket.on("error", () => {})
  })
  const close = (closed: () => void) => {
    server.close(closed)
    for (const timer of timers) clearTimeout(timer)
    for (const socket of sockets) socket.destroy()
  }
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" ? address?.port : undefined
    ready({
      close,
      handle: {
        url: `${options.tls === true ? "https" : "http"}://127.0.0.1:${port}`,
        requests,
        embedded: () => embedded,
        connections: () => ({ opened, open: sockets.size }),
        mostAtOnce: () => mostAtOnce,
        next: (...misbehaviours) => {
          queue = [...queue, ...misbehaviours]
        },
        always: (misbehaviour) => {
          usual = misbehaviour
        }
      }
    })
  })
}

/** Components between −1 and 1 from a digest of model and text. */
export const vectorOf = (model: string, text: string, dimensions: number): ReadonlyArray<number> => {
  const numbers: Array<number> = []
  for (let block = 0; numbers.length < dimensions; block++) {
    const digest = createHash("sha256").update(`${model}\n${block}\n${text}`).digest()
    for (let at = 0; at < digest.length && numbers.length < dimensions; at += 4)
      numbers.push(digest.readInt32LE(at) / 2 ** 31)
  }
  return numbers
}

interface Exchange {
  readonly received: ReceivedRequest
  readonly response: ServerResponse
  readonly misbehaviour: Misbehaviour | undefined
  readonly dimensions: number
  readonly later: (ms: number, act: () => void) => void
  readonly count: (inputs: number) => void
}

interface Item {
  readonly index: number | undefined
  readonly text: string
  /** JSON of each. */
  readonly components: ReadonlyArray<string>
}

const respond = ({ count, dimensions, later, misbehaviour, received, response }: Exchange) => {
  const { input, model } = received.body
  const send = (status: number, body: string, headers: Record<string, string> = {}) => {
    response.writeHead(status, { "content-type": "application/json", ...headers })
    response.end(body)
  }
  const complain = (status: number, message: string, code?: string, headers?: Record<string, string>) =>
    send(status, JSON.stringify({ error: { message, type: "invalid_request_error", code } }), headers)
  const items = (by = model, width = dimensions): ReadonlyArray<Item> =>
    input.map((text, index) => ({ index, text, components: vectorOf(by, text, width).map(String) }))
  const rendered = (all: ReadonlyArray<Item>) => {
    const data = all.map(
      ({ components, index }) =>
        `{"object":"embedding",${index === undefined ? "" : `"index":${index},`}"embedding":[${components.join(",")}]}`
    )
    const tokens = input.reduce((sum, text) => sum + text.split(/\s+/).length, 0)
    return `{"object":"list","data":[${data.join(",")}],"usage":{"prompt_tokens":${tokens},"total_tokens":${tokens}}}`
  }
  const sendItems = (all: ReadonlyArray<Item>) => {
    count(input.length)
    send(200, rendered(all))
  }
  const good = () => sendItems(items())
  const sendChanged = (
    word: string | undefined,
    change: (components: ReadonlyArray<string>) => ReadonlyArray<string>
  ) =>
    sendItems(
      items().map((item) =>
        word === undefined || item.text.includes(word)
          ? { ...item, components: change(item.components) }
          : item
      )
    )

  if (misbehaviour === undefined) return good()
  switch (misbehaviour.kind) {
    case "status":
      return send(misbehaviour.status, misbehaviour.body ?? "", misbehaviour.headers)
    case "busy": {
      const { code, retryAfter } = misbehaviour
      return complain(
        429,
        "Rate limit reached.",
        code,
        retryAfter === undefined ? {} : { "retry-after": retryAfter }
      )
    }
    case "silent":
      return
    case "slow":
      return later(misbehaviour.ms, good)
    case "drip": {
      const body = rendered(items())
      response.writeHead(200, { "content-type": "application/json" })
      const drop = (at: number) => {
        response.write(body[at] ?? "")
        if (at + 1 < body.length) later(misbehaviour.ms, () => drop(at + 1))
        else response.end()
      }
      return drop(0)
    }
    case "reset":
      response.socket?.resetAndDestroy()
      return
    case "cut": {
      const body = rendered(items())
      return send(200, body.slice(0, body.length / 2))
    }
    case "html":
      return send(200, "<!doctype html><title>Log in</title>", { "content-type": "text/html" })
    case "endless": {
      response.writeHead(200, { "content-type": "application/json" })
      response.write('{"data":[')
      const more = () => {
        if (!response.destroyed) response.write(" ".repeat(65_536), () => setImmediate(more))
      }
      return more()
    }
    case "body":
      return send(200, misbehaviour.body)
    case "too few":
      return sendItems(items().slice(1))
    case "too many":
      return sendItems([...items(), { index: input.length, text: "", components: ["1"] }])
    case "shuffled":
      return sendItems(items().toReversed())
    case "repeated index":
      return sendItems(items().map((item) => ({ ...item, index: 0 })))
    case "no index":
      return sendItems(items().map((item) => ({ ...item, index: undefined })))
    case "wrong dimensions":
      return sendItems(items(model, dimensions + 1))
    case "component":
      return sendChanged(misbehaviour.word, (components) => components.with(0, misbehaviour.json))
    case "zero":
      return sendChanged(misbehaviour.word, (components) => components.map(() => "0"))
    case "refuses":
      return input.some((text) => text.includes(misbehaviour.word))
        ? complain(misbehaviour.status ?? 400, misbehaviour.message ?? "An input is invalid.")
        : good()
    case "at most":
      return input.length > misbehaviour.inputs ? complain(400, "The batch is too big.") : good()
    case "redirect":
      return send(misbehaviour.status ?? 307, "", { location: misbehaviour.to })
    case "echoes the key":
      return complain(401, `Incorrect API key provided: ${received.headers.authorization}. Goodbye.`)
    case "echoes the inputs":
      return complain(422, `I do not like ${JSON.stringify(input)}.`)
    case "other model":
      return sendItems(items(`not ${model}`))
  }
}
