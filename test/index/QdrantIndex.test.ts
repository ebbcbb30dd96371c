import { indexConformance } from "../conformance/index.ts"
import { onDouble, onServer } from "./QdrantFixture.ts"

indexConformance("Qdrant's double", onDouble(), 12)

indexConformance("Qdrant's double as the oldest server that is supported", onDouble({ version: "1.13.0" }), 4)

const { QDRANT_API_KEY, QDRANT_URL } = process.env
if (QDRANT_URL !== undefined)
  indexConformance(`Qdrant at ${QDRANT_URL}`, onServer(QDRANT_URL, QDRANT_API_KEY), 12)
