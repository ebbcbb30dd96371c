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
import { NatsUnreachable } from "./NatsErrors.ts"

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
  server: string,
  given: NatsCredentials & { readonly servers: ReadonlyArray<string> }
): Effect.Effect<Pick<ConnectionOptions, "authenticator" | "tls">, NatsUnreachable> =>
  Effect.try({
    try: () => {
      const authenticator = authenticators(given)
      const tls = tlsOf(given)
      return { ...(authenticator.length > 0 && { authenticator }), ...(tls && { tls }) }
    },
    catch: (cause) =>
      new NatsUnreachable({
        server,
        reason: "credentials",
        detail: cause instanceof Error ? cause.message : String(cause)
      })
  })

const encoder = new TextEncoder()

const authenticators = (given: NatsCredentials): Array<Authenticator> => {
  const found: Array<Authenticator> = []
  if (given.user !== undefined) {
    const { password, user } = given
    found.push(usernamePasswordAuthenticator(user, password && Redacted.value(password)))
  }
  if (given.token !== undefined) found.push(tokenAuthenticator(Redacted.value(given.token)))
  if (given.nkeySeed !== undefined) {
    const authenticator = nkeyAuthenticator(encoder.encode(Redacted.value(given.nkeySeed).trim()))
    tried(authenticator, "The NKey's seed is not one (it begins with SU).")
    found.push(authenticator)
  }
  if (given.credentials !== undefined) {
    const path = given.credentials
    let last = readFileSync(path)
    const authenticator = credsAuthenticator(() => {
      // A file that is being replaced at this moment must not end the connection: its last content does for now.
      try {
        last = readFileSync(path)
      } catch {
        return last
      }
      return last
    })
    tried(authenticator, `${path} is no credentials file.`)
    found.push(authenticator)
  }
  return found
}

/** Signs something, as it will when the server asks. What went wrong may name the secret, so it is not repeated. */
const tried = (authenticator: Authenticator, sentence: string): void => {
  try {
    authenticator("nonce")
  } catch {
    throw new Error(sentence)
  }
}

const tlsOf = ({
  servers,
  tlsCa,
  tlsCert,
  tlsKey
}: NatsCredentials & { readonly servers: ReadonlyArray<string> }): ConnectionOptions["tls"] => {
  for (const path of [tlsCa, tlsCert, tlsKey]) if (path !== undefined) readFileSync(path)
  const any = tlsCa !== undefined || tlsCert !== undefined || tlsKey !== undefined
  if (!any && !servers.some((server) => server.startsWith("tls:"))) return undefined
  return {
    ...(tlsCa && { caFile: tlsCa }),
    ...(tlsCert && { certFile: tlsCert }),
    ...(tlsKey && { keyFile: tlsKey })
  }
}
