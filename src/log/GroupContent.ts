/** The content of a group of writes. */
import { sha256 } from "../../events/Ids.ts"
import type { ContentStore } from "./ContentStore.ts"
import type { BlobPut } from "./Log.ts"
import { failure } from "./WriteFailure.ts"
import type { WriteOutcome, WriteRequest } from "./WriteGroup.ts"

/**
 * In one transaction. Answers the failure of each request whose content could not be kept; `stop` is called where the file
 * may have failed.
 */
export const writeContent = (
  content: ContentStore,
  requests: ReadonlyArray<WriteRequest>,
  stop: () => void
): ReadonlyArray<WriteOutcome | undefined> => {
  const refused = requests.map((request) => {
    const wrong = request.blobs.find((blob) => !isDigestOf(blob))
    return wrong === undefined
      ? undefined
      : failure("store content", new Error(`A body does not hash to its digest ${wrong.digest}.`))
  })
  const blobs = requests.flatMap((request, at) => (refused[at] === undefined ? request.blobs : []))
  const vectors = requests.flatMap((request, at) => (refused[at] === undefined ? request.vectors : []))
  try {
    content.write(blobs, vectors)
    return refused
  } catch (cause) {
    stop()
    return requests.map((request, at) =>
      request.blobs.length + request.vectors.length > 0 ? failure("store content", cause) : refused[at]
    )
  }
}

const isDigestOf = (blob: BlobPut): boolean => sha256(blob.bytes) === blob.digest
