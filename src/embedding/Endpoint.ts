/**
 * Where an OpenAI-compatible provider takes embeddings, from the base that people copy from its documentation.
 */
import { Either } from "effect"

/**
 * `http://host:11434`, `https://api.openai.com/v1`, `https://host/v1beta/openai/` and full addresses that end in
 * `/embeddings` all lead to the right place; a query (an API version) is kept. The left side says what is wrong
 * without repeating what may be a secret.
 */
export const embeddingsEndpoint = (base: string): Either.Either<URL, string> => {
  if (!URL.canParse(base)) return Either.left("is not an address such as http://127.0.0.1:11434/v1")
  const url = new URL(base)
  if (url.protocol !== "http:" && url.protocol !== "https:")
    return Either.left(`starts with ${url.protocol} instead of http: or https:`)
  if (url.username !== "" || url.password !== "")
    return Either.left("contains a user name or password; give the key as REPRISE_EMBEDDING_API_KEY instead")
  const segments = url.pathname.split("/").filter((segment) => segment !== "")
  if (segments.at(-1) !== "embeddings") {
    if (!segments.some((segment) => /^v\d/.test(segment))) segments.push("v1")
    segments.push("embeddings")
  }
  url.pathname = `/${segments.join("/")}`
  url.hash = ""
  return Either.right(url)
}
