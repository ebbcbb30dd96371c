/** What a file is, as far as its path says: its descriptor. In the thread of files, which loads no more for it than this. */
import { hash } from "node:crypto"
import { wellFormed } from "../../events/Canonical.ts"
import type { Descriptor } from "../../events/Document.ts"
import { fileUri, isUnreserved, join, type RawPath, toText } from "./RawPath.ts"

const mediaType = "application/octet-stream"

/**
 * Nothing that was observed (times, owners) stands here, so that two copies of a tree at one place agree. What kind of
 * text it is, and its title, follow from its bytes when it is prepared.
 */
export const describe = (root: RawPath, path: RawPath): Descriptor => ({
  externalId: wellFormed(toText(path)),
  uri: fileUri(join(root, path)),
  mediaType,
  metadata: {}
})

/** Its canonical JSON: the members stand in order, and the texts are well-formed. */
const describedText = ({ externalId, mediaType, uri }: Descriptor): string =>
  `{"externalId":${JSON.stringify(externalId)},"mediaType":${JSON.stringify(mediaType)},"metadata":{},"uri":${JSON.stringify(uri)}}`

/** The same of a path that stands in it as it is: most do, and every pass asks it of every file. */
const plainText = (absolute: RawPath, path: RawPath): string =>
  `{"externalId":"${path}","mediaType":"${mediaType}","metadata":{},"uri":"file://${absolute}"}`

/** The digest of a file's descriptor as it is stored, in hexadecimal. */
export const descriptorOf = (root: RawPath, path: RawPath): string => {
  const absolute = join(root, path)
  return hash(
    "sha256",
    isUnreserved(absolute) ? plainText(absolute, path) : describedText(describe(root, path))
  )
}
