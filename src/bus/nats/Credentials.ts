/**
 * What a server wants to see of us: user and password, a token, an NKey's seed, a credentials file, and the files of TLS.
 * Files are read at the start, so that a wrong path is told at once, and again at every reconnect, so that rotated ones
 * are used.
 */
import { readFileSync } from "node:fs"
import { Effect, Redacted } from "effect"
import {
  type Authenticator,
  type ConnectionOptions,
  credsAuthenticator,
  nkeyAuthenticator,
  tokenAuthenticator,
  usernamePasswordAuthenticator
} from "nats"
import { CredentialsUnusable } from "./NatsErrors.ts"

export interface NatsCredentials {
  readonly user?: string
  readonly password?: Redacted.Redacted
  readonly token?: Redacted.Redacted
  /** Begins with `SU`. */
  readonly nkeySeed?: Redacted.Redacted
  /** Path of a `.creds` file: a user's JWT and seed. */
  readonly credentials?: string
  /** Paths of PEM files. With any of them, or a `tls://` address, TLS is a must. */
  readonly tlsCa?: string
  readonly tlsCert?: string
  readonly tlsKey?: string
}

export const readCredentials = (
  given: NatsCredentials & { readonly servers: ReadonlyArray<string> }
): Effect.Effect<Pick<ConnectionOptions, "authenticator" | "tls">, CredentialsUnusable> =>
  Effect.gen(function* () {
    const authenticator = yield* authenticators(given)
    const tls = yield* tlsOf(given)
    return { ...(authenticator.length > 0 && { authenticator }), ...(tls && { tls }) }
  })

const encoder = new TextEncoder()

const authenticators = Effect.fnUntraced(function* (
  given: NatsCredentials
): Effect.fn.Return<Array<Authenticator>, CredentialsUnusable> {
  const found: Array<Authenticator> = []
  if (given.user !== undefined) {
    const { password, user } = given
    found.push(usernamePasswordAuthenticator(user, password && Redacted.value(password)))
  }
  if (given.token !== undefined) found.push(tokenAuthenticator(Redacted.value(given.token)))
  if (given.nkeySeed !== undefined) {
    const seed = encoder.encode(Redacted.value(given.nkeySeed).trim())
    found.push(
      yield* tried(nkeyAuthenticator(seed), {
        setting: "nkeySeed",
        found: "no seed of an NKey",
        expected: "one, which begins with SU"
      })
    )
  }
  if (given.credentials !== undefined) {
    const path = given.credentials
    const expected = "a credentials file (.creds)"
    let last = yield* readable("credentials", path, expected)
    const authenticator = credsAuthenticator(() => {
      // A file that is being replaced at this moment must not end the connection: its last content does for now.
      try {
        last = readFileSync(path)
      } catch {
        return last
      }
      return last
    })
    found.push(
      yield* tried(authenticator, {
        setting: "credentials",
        found: `${path}, which holds no credentials`,
        expected
      })
    )
  }
  return found
})

type Setting = CredentialsUnusable["setting"]

const readable = (
  setting: Setting,
  path: string,
  expected: string
): Effect.Effect<Buffer, CredentialsUnusable> =>
  Effect.try({
    try: () => readFileSync(path),
    catch: (cause) =>
      new CredentialsUnusable({
        setting,
        found: `not readable (${cause instanceof Error ? cause.message : String(cause)})`,
        expected
      })
  })

/** Signs something, as it will when the server asks. What went wrong may name the secret, so it is not repeated. */
const tried = (
  authenticator: Authenticator,
  otherwise: { readonly setting: Setting; readonly found: string; readonly expected: string }
): Effect.Effect<Authenticator, CredentialsUnusable> =>
  Effect.try({
    try: () => {
      authenticator("nonce")
      return authenticator
    },
    catch: () => new CredentialsUnusable(otherwise)
  })

const tlsOf = Effect.fnUntraced(function* ({
  servers,
  tlsCa,
  tlsCert,
  tlsKey
}: NatsCredentials & { readonly servers: ReadonlyArray<string> }): Effect.fn.Return<
  ConnectionOptions["tls"],
  CredentialsUnusable
> {
  const files = [
    ["tlsCa", tlsCa],
    ["tlsCert", tlsCert],
    ["tlsKey", tlsKey]
  ] as const
  for (const [setting, path] of files) if (path !== undefined) yield* readable(setting, path, "a PEM file")
  const any = tlsCa !== undefined || tlsCert !== undefined || tlsKey !== undefined
  if (!any && !servers.some((server) => server.startsWith("tls:"))) return undefined
  return {
    ...(tlsCa && { caFile: tlsCa }),
    ...(tlsCert && { certFile: tlsCert }),
    ...(tlsKey && { keyFile: tlsKey })
  }
})
