/** A server's configuration with an operator, and a credentials file of one of its users: JWTs signed with NKeys. */
import { nkeys } from "nats"

interface KeyPair {
  readonly getPublicKey: () => string
  readonly getSeed: () => Uint8Array
  readonly sign: (data: Uint8Array) => Uint8Array
}

const base64url = (data: string | Uint8Array): string => Buffer.from(data).toString("base64url")

/** Version 2 of NATS's claims. */
const jwt = (issuer: KeyPair, subject: KeyPair, name: string, claims: object): string => {
  const sub = subject.getPublicKey()
  const payload = {
    jti: name,
    iat: 1,
    iss: issuer.getPublicKey(),
    name,
    sub,
    nats: { ...claims, version: 2 }
  }
  const signed = [{ typ: "JWT", alg: "ed25519-nkey" }, payload]
    .map((part) => base64url(JSON.stringify(part)))
    .join(".")
  return `${signed}.${base64url(issuer.sign(new TextEncoder().encode(signed)))}`
}

const unlimited = { subs: -1, data: -1, payload: -1 }

export const operatorMode = () => {
  const operator = nkeys.createOperator()
  const [system, account] = [nkeys.createAccount(), nkeys.createAccount()]
  const limits = { ...unlimited, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 }
  const stored = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 }
  const accounts = [
    [system, jwt(operator, system, "SYS", { type: "account", limits })],
    [account, jwt(operator, account, "REPRISE", { type: "account", limits: { ...limits, ...stored } })]
  ] as const
  /** What stands in a `.creds` file. */
  const credentialsOf = (issuer: KeyPair): string => {
    const user = nkeys.createUser()
    const seed = new TextDecoder().decode(user.getSeed())
    const token = jwt(issuer, user, "reprise", { type: "user", pub: {}, sub: {}, ...unlimited })
    return `-----BEGIN NATS USER JWT-----\n${token}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`
  }
  return {
    configuration: [
      `operator: ${jwt(operator, operator, "O", { type: "operator" })}`,
      "resolver: MEMORY",
      `system_account: ${system.getPublicKey()}`,
      "resolver_preload: {",
      ...accounts.map(([pair, token]) => `  ${pair.getPublicKey()}: ${token}`),
      "}"
    ].join("\n"),
    credentials: credentialsOf(account),
    /** Signed by an account that the server does not know. */
    foreignCredentials: credentialsOf(nkeys.createAccount())
  }
}
