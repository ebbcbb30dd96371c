/** `DocumentCommitted` and `DocumentBuilt` decoded without their schema: a fold decodes one for each version. */
import { Predicate } from "effect"
import { DocumentBuilt, DocumentCommitted } from "./Document.ts"
import { patterns } from "./Ids.ts"

type Embedded = Omit<DocumentCommitted, "_tag">

const { codeFingerprint, digest, uuid } = patterns
const isLike = (pattern: RegExp, value: unknown): boolean => typeof value === "string" && pattern.test(value)

/** Whether data is as their schema says. */
const isEmbedded = (data: unknown): data is Embedded => {
  if (!Predicate.isReadonlyRecord(data)) return false
  const { chunker, count, descriptor, documentId, manifestBlob, model, textBlob, vectorsRoot, version } = data
  return (
    isLike(uuid, documentId) &&
    Number.isSafeInteger(version) &&
    Number(version) > 0 &&
    isLike(codeFingerprint, chunker) &&
    isLike(codeFingerprint, model) &&
    isLike(digest, descriptor) &&
    isLike(digest, textBlob) &&
    isLike(digest, manifestBlob) &&
    isLike(digest, vectorsRoot) &&
    Number.isSafeInteger(count) &&
    Number(count) >= 0
  )
}

/** An event that completes a version, from its data as stored today; `undefined` where its schema is to be asked. */
export const completed = (type: string, data: unknown): DocumentCommitted | DocumentBuilt | undefined => {
  if ((type !== "DocumentCommitted" && type !== "DocumentBuilt") || !isEmbedded(data)) return undefined
  const { chunker, count, descriptor, documentId, manifestBlob, model, textBlob, vectorsRoot, version } = data
  const fields = {
    documentId,
    version,
    chunker,
    descriptor,
    textBlob,
    manifestBlob,
    count,
    model,
    vectorsRoot
  }
  return type === "DocumentCommitted"
    ? new DocumentCommitted(fields, { disableValidation: true })
    : new DocumentBuilt(fields, { disableValidation: true })
}
