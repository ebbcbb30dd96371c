/**
 * The one native dependency, SQLite: whether it loads in this Node. Everything that opens a file needs it.
 */
import { Effect, Schema } from "effect"

/** better-sqlite3 was installed without its binary, or for another Node. Install it again. */
export class NativeModuleMissing extends Schema.TaggedError<NativeModuleMissing>()("NativeModuleMissing", {
  detail: Schema.String
}) {
  override get message() {
    return `better-sqlite3 does not load in Node ${process.version}: ${this.detail}. Install it for this Node with: npm rebuild better-sqlite3 (where no prebuilt binary can be had this needs a C++ compiler, make and Python; with npm's install scripts switched off, allow its script first)`
  }
}

/** Opens a database in memory; answers SQLite's version. */
export const nativeModule: Effect.Effect<string, NativeModuleMissing> = Effect.tryPromise({
  try: async () => {
    const { default: Database } = await import("better-sqlite3")
    const db = new Database(":memory:")
    try {
      return String(db.prepare("SELECT sqlite_version()").pluck().get())
    } finally {
      db.close()
    }
  },
  catch: (cause) =>
    new NativeModuleMissing({
      detail: (cause instanceof Error ? cause.message : String(cause)).split("\n")[0] ?? ""
    })
})
