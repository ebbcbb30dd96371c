import { killing } from "./killing.ts"

killing("collect", {
  middle: false,
  shownElsewhere: new Set(["index.row", "index.marker.before", "index.marker.after"])
})
