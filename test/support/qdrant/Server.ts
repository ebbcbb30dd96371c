/** The HTTP side: who may ask, what is well formed, what misbehaves, and answers in the real server's shape. */
import type { IncomingMessage, ServerResponse } from "node:http"
import { type Description, describeVersion, newestMinor, type Operation } from "./Description.ts"
import { type Json, Refusal } from "./Payload.ts"
import { type Call, type Store, writes } from "./Store.ts"

/** What a request meets instead of a good answer. */
export type Misbehaviour =
  /** `before`: nothing is applied; `after`: everything is, and nobody hears of it. */
  | {
      readonly kind: "status"
      readonly status: number
      readonly when: "before" | "after"
      readonly message?: string
    }
  /** 429, with `Retry-After` where it is given. */
  | { readonly kind: "busy"; readonly retryAfter?: string }
  | { readonly kind: "slow"; readonly ms: number; readonly when: "before" | "after" }
  | { readonly kind: "drop"; readonly when: "before" | "after" }
  /**
   * Only the first points of an update are applied. Then comes a status, or the connection is dropped, or (`lost`) the
   * answer says that all went well.
   */
  | { readonly kind: "partial"; readonly points: number; readonly ending: number | "drop" | "lost" }
  /** Never answers. */
  | { readonly kind: "silent" }
  /** Half of a good answer under the length of a whole one. */
  | { readonly kind: "cut" }
  /** 200 and this text. */
  | { readonly kind: "body"; readonly body: string; readonly type?: string }

/** Which requests a misbehaviour is for; without any of it, for the next one to a collection or its aliases. */
export interface Occasion {
  /** Names of operations in Qdrant's description, `upsert_points`. */
  readonly operations?: ReadonlyArray<string>
  readonly collection?: string
  /** From the n-th such request on: 1 is the next one. */
  readonly nth?: number
  /** How many of them; 0 is all. */
  readonly times?: number
}

export interface Received {
  readonly operation: string | undefined
  readonly method: string
  readonly path: string
  readonly collection: string | undefined
  readonly body: Json | undefined
  readonly bytes: number
}

export interface ServerOptions {
  readonly apiKey?: string
  readonly readOnlyApiKey?: string
  /** As `service.max_request_size_mb`; 32 MiB. */
  readonly bodyLimitBytes?: number
}

interface Rule {
  readonly misbehaviour: Misbehaviour
  readonly occasion: Occasion
  skip: number
  left: number
}

const usualBodyLimit = 32 * 1024 * 1024
/** As `src/actix/mod.rs`: these need no key. */
const open: ReadonlySet<string | undefined> = new Set(["root", "healthz", "readyz", "livez"])

export class Server {
  readonly received: Array<Received> = []
  /** Good answers that the description does not allow: faults of the double itself. */
  readonly violations: Array<string> = []
  readonly #store: Store
  readonly #options: ServerOptions
  #rules: Array<Rule> = []

  constructor(store: Store, options: ServerOptions) {
    this.#store = store
    this.#options = options
  }

  misbehave(misbehaviour: Misbehaviour, occasion: Occasion): void {
    const left = occasion.times === 0 ? Number.POSITIVE_INFINITY : (occasion.times ?? 1)
    this.#rules.push({ misbehaviour, occasion, skip: (occasion.nth ?? 1) - 1, left })
  }

  behave(): void {
    this.#rules = []
  }

  readonly listener = (request: IncomingMessage, response: ServerResponse): void => {
    const chunks: Array<Buffer> = []
    response.on("error", () => {})
    request.on("error", () => {})
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      this.#serve(request, response, Buffer.concat(chunks)).catch((fault: unknown) => {
        this.violations.push(String(fault))
        if (!response.headersSent) send(response, 500, envelope(`Service internal error: ${fault}`))
      })
    })
  }

  async #serve(request: IncomingMessage, response: ServerResponse, bytes: Buffer): Promise<void> {
    const url = new URL(request.url ?? "/", "http://127.0.0.1")
    const found = this.#route(request.method ?? "GET", url.pathname)
    const collection = found?.variables["collection_name"]
    const parsed = parse(bytes)
    this.received.push({
      operation: found?.operation.id,
      method: request.method ?? "GET",
      path: url.pathname,
      collection,
      body: parsed.value,
      bytes: bytes.length
    })
    const misbehaviour = this.#next(found?.operation.id, collection)
    const started = performance.now()
    const seconds = () => (performance.now() - started) / 1000

    if (misbehaviour?.kind === "silent") return
    if (misbehaviour?.kind === "busy")
      return send(
        response,
        429,
        envelope("Rate limiting exceeded: Write rate limit exceeded, retry later"),
        misbehaviour.retryAfter === undefined ? {} : { "retry-after": misbehaviour.retryAfter }
      )
    if (misbehaviour?.kind === "body")
      return sendText(response, 200, misbehaviour.body, misbehaviour.type ?? "application/json")
    if (misbehaviour?.kind === "slow" && misbehaviour.when === "before") await sleep(misbehaviour.ms)
    if (misbehaviour?.kind === "drop" && misbehaviour.when === "before") return drop(response)
    if (misbehaviour?.kind === "status" && misbehaviour.when === "before")
      return send(response, misbehaviour.status, envelope(misbehaviour.message ?? "told to fail before"))

    const unknown = this.#refuseCaller(request, found?.operation.id)
    if (unknown !== undefined) return sendText(response, unknown.status, unknown.message)
    if (found === undefined) return sendText(response, 404, "")
    const { operation, variables } = found
    if (operation.segments[0] !== "collections" && operation.segments[0] !== "aliases")
      return this.#answerAboutItself(operation, response)

    let status = 200
    let answer: Json
    try {
      this.#refuseReadOnly(request, operation.id)
      const body = this.#accept(operation, url, bytes, parsed)
      const call: Call = {
        operation: operation.id,
        variables,
        query: url.searchParams,
        body,
        atMost: misbehaviour?.kind === "partial" ? misbehaviour.points : undefined
      }
      answer = { result: await this.#store.answer(call), status: "ok", time: seconds() }
      const violated = operation.refuseAnswer(answer)
      if (violated !== undefined) throw new Error(`${operation.id}: ${violated}`)
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal
      status = refusal.status
      answer = envelope(refusal.message)
    }
    if (misbehaviour?.kind === "slow" && misbehaviour.when === "after") await sleep(misbehaviour.ms)
    if (misbehaviour?.kind === "drop") return drop(response)
    if (misbehaviour?.kind === "status")
      return send(response, misbehaviour.status, envelope(misbehaviour.message ?? "told to fail after"))
    if (misbehaviour?.kind === "partial" && misbehaviour.ending !== "lost")
      return misbehaviour.ending === "drop"
        ? drop(response)
        : send(response, misbehaviour.ending, envelope("told to fail half way"))
    if (misbehaviour?.kind === "cut") return cut(response, answer)
    send(response, status, answer)
  }

  #description(): Description {
    return describeVersion(Math.min(newestMinor, Number(this.#store.version.split(".")[1])))
  }

  /** A fixed segment goes before a variable: `/collections/aliases` is no collection. */
  #route(method: string, path: string) {
    const segments = path.split("/").slice(1).map(decodeURIComponent)
    let best: { operation: Operation; variables: Record<string, string> } | undefined
    for (const operation of this.#description().operations) {
      if (operation.method !== method || operation.segments.length !== segments.length) continue
      const variables: Record<string, string> = {}
      const fits = operation.segments.every((one, at) => {
        const name = /^\{(.*)\}$/.exec(one)?.[1]
        if (name === undefined) return one === segments[at]
        variables[name] = segments[at] ?? ""
        return true
      })
      if (fits && (best === undefined || Object.keys(variables).length < Object.keys(best.variables).length))
        best = { operation, variables }
    }
    return best
  }

  #next(operation: string | undefined, collection: string | undefined): Misbehaviour | undefined {
    for (const rule of this.#rules) {
      const { operations, collection: of } = rule.occasion
      if (operation === undefined || open.has(operation)) {
        if (operations === undefined || operation === undefined || !operations.includes(operation)) continue
      } else if (operations !== undefined && !operations.includes(operation)) continue
      if (of !== undefined && of !== collection) continue
      if (rule.skip > 0) {
        rule.skip--
        continue
      }
      rule.left--
      if (rule.left <= 0) this.#rules = this.#rules.filter((one) => one !== rule)
      return rule.misbehaviour
    }
    return undefined
  }

  /** In the words of `src/common/auth/mod.rs`; the body of such an answer is no JSON. */
  #refuseCaller(request: IncomingMessage, operation: string | undefined): Refusal | undefined {
    const { apiKey, readOnlyApiKey } = this.#options
    if ((apiKey === undefined && readOnlyApiKey === undefined) || open.has(operation)) return undefined
    const key = keyOf(request)
    if (key === undefined) return new Refusal(401, "Must provide an API key or an Authorization bearer token")
    return key === apiKey || key === readOnlyApiKey ? undefined : new Refusal(401, "Invalid API key or JWT")
  }

  #refuseReadOnly(request: IncomingMessage, operation: string): void {
    const { apiKey, readOnlyApiKey } = this.#options
    const key = keyOf(request)
    if (readOnlyApiKey !== undefined && key === readOnlyApiKey && key !== apiKey && writes.has(operation))
      throw new Refusal(403, "Forbidden: Global manage access is required")
  }

  #accept(operation: Operation, url: URL, bytes: Buffer, parsed: Body): ReturnType<typeof JSON.parse> {
    const query = operation.refuseQuery(url.searchParams)
    if (query !== undefined) throw new Refusal(400, `Deserialize error in query parameters: ${query}`)
    if (!operation.hasBody) return undefined
    const limit = this.#options.bodyLimitBytes ?? usualBodyLimit
    if (bytes.length > limit)
      throw new Refusal(
        400,
        `JSON payload (${bytes.length} bytes) is larger than allowed (limit: ${limit} bytes).`
      )
    if (parsed.fault !== undefined) throw new Refusal(400, `Format error in JSON body: ${parsed.fault}`)
    const body = operation.refuseBody(parsed.value)
    if (body?.kind === "shape") throw new Refusal(400, `Format error in JSON body: ${body.detail}`)
    if (body?.kind === "bounds") throw new Refusal(422, `Validation error in JSON body: [${body.detail}]`)
    return JSON.parse(bytes.toString("utf8"))
  }

  #answerAboutItself(operation: Operation, response: ServerResponse): void {
    switch (operation.id) {
      case "root":
        return send(response, 200, {
          title: "qdrant - vector search engine",
          version: this.#store.version,
          commit: "0".repeat(40)
        })
      case "healthz":
      case "livez":
        return sendText(response, 200, "healthz check passed")
      case "readyz":
        return sendText(response, 200, "all shards are ready")
      case "telemetry":
        return send(response, 200, {
          result: {
            id: "00000000-0000-4000-8000-000000000000",
            app: { name: "qdrant", version: this.#store.version, startup: "2026-01-01T00:00:00Z" },
            collections: { number_of_collections: this.#store.collections.size }
          },
          status: "ok",
          time: 0
        })
      default:
        return send(response, 501, envelope(`This test double of Qdrant does not do ${operation.id}.`))
    }
  }
}

interface Body {
  readonly value: Json | undefined
  readonly fault: string | undefined
}

const parse = (bytes: Buffer): Body => {
  if (bytes.length === 0) return { value: undefined, fault: "EOF while parsing a value at line 1 column 0" }
  try {
    return { value: JSON.parse(bytes.toString("utf8")), fault: undefined }
  } catch (fault) {
    return { value: undefined, fault: String(fault) }
  }
}

const keyOf = ({ headers }: IncomingMessage): string | undefined => {
  const key = headers["api-key"]
  return typeof key === "string" ? key : /^Bearer (.*)$/.exec(headers.authorization ?? "")?.[1]
}

const envelope = (error: string): Json => ({ status: { error }, time: 0 })

const send = (
  response: ServerResponse,
  status: number,
  answer: Json,
  headers: Record<string, string> = {}
): void => {
  const text = JSON.stringify(answer)
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
    ...headers
  })
  response.end(text)
}

const sendText = (response: ServerResponse, status: number, text: string, type = "text/plain"): void => {
  response.writeHead(status, { "content-type": type })
  response.end(text)
}

const drop = (response: ServerResponse): void => {
  response.socket?.resetAndDestroy()
}

const cut = (response: ServerResponse, answer: Json): void => {
  const text = Buffer.from(JSON.stringify(answer))
  response.writeHead(200, { "content-type": "application/json", "content-length": text.length })
  response.write(text.subarray(0, text.length / 2), () => response.socket?.destroy())
}

const sleep = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms).unref()
  })
