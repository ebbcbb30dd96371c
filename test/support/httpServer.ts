/** A server with its HTTP interface, in the process of the test. */
import { join } from "node:path"
import { Duration, Layer, Schema } from "effect"
import { Lane } from "../../events/Job.ts"
import * as Http from "../../src/http/Server.ts"
import { filesIn } from "../../src/runtime/DataDirectory.ts"
import * as Serving from "../../src/runtime/Serving.ts"
import { Settings } from "../../src/runtime/Settings.ts"

export const serving = (
  folder: string,
  options: Partial<Serving.ServingOptions> = {},
  more: typeof Settings.Encoded = {}
) => {
  const directory = join(folder, "data")
  const settings = Schema.decodeSync(Settings)({ http: { port: 0 }, ...more })
  return Http.layer({ settings: settings.http, version: "1.2.3", timeout: Duration.seconds(20) }).pipe(
    Layer.provideMerge(
      Serving.layer({
        configuration: {
          settings,
          directory: { path: directory, origin: "flag", files: filesIn(directory, join) },
          entries: [],
          warnings: []
        },
        environment: {},
        version: "1.2.3",
        lanes: Lane.literals,
        ...options
      })
    )
  )
}
