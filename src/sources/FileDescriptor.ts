/** What a file is, as far as its path says: its descriptor. In the thread of files, which loads no more for it than this. */
import { hash } from "node:crypto"
import { wellFormed } from "../../events/Canonical.ts"
import type { Descriptor } from "../../events/Document.ts"
import { fileUri, join, type RawPath, toText } from "./RawPath.ts"

/**
 * Nothing that was observed (times, owners) stands here, so that two copies of a tree at one place agree. What kind of
 * text it is, and its title, follow from its bytes when it is prepared.
 */
export const describe = (root: RawPath, path: RawPath): Descriptor => ({
  externalId: wellFormed(toText(path)),
  uri: fileUri(join(root, path)),
  mediaType: "application/octet-stream",
  metadata: {}
})

/** Its canonical JSON: the members stand in order, and the texts are well-formed. */
const describedText = ({ externalId, mediaType, uri }: Descriptor): string =>
  `{"externalId":${JSON.stringify(externalId)},"mediaType":${JSON.stringify(mediaType)},"metadata":{},"uri":${JSON.stringify(uri)}}`

/** The digest of a file's descriptor as it is stored, in hexadecimal. */
export const descriptorOf = (root: RawPath, path: RawPath): string =>
  hash("sha256", describedText(describe(root, path)))
