/** Whether the compiler would have noticed a planted bug: then no test is needed for it, and it proves nothing. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import ts from "typescript"
import type { Mutant } from "./Mutant.ts"
import { applyPatch } from "./Patch.ts"

/** What the compiler says of each bug that it refuses, by name. One program, of which a file or two change each time. */
export const refusedTypes = (root: string, mutants: ReadonlyArray<Mutant>): ReadonlyMap<string, string> => {
  const config = ts.getParsedCommandLineOfConfigFile(
    join(root, "tsconfig.json"),
    { noEmit: true, incremental: false },
    { ...ts.sys, onUnRecoverableConfigFileDiagnostic: () => {} }
  )
  if (config === undefined) throw new Error("tsconfig.json cannot be read.")
  const changed = new Map<string, string>()
  const versions = new Map<string, number>()
  const service = ts.createLanguageService({
    getCompilationSettings: () => config.options,
    getScriptFileNames: () => config.fileNames.filter((file) => !file.includes("/test/")),
    getScriptVersion: (file) => String(versions.get(file) ?? 0),
    getScriptSnapshot: (file) => {
      const text = changed.get(file) ?? ts.sys.readFile(file)
      return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text)
    },
    getCurrentDirectory: () => root,
    getDefaultLibFileName: ts.getDefaultLibFilePath,
    fileExists: ts.sys.fileExists,
    readFile: ts.sys.readFile,
    readDirectory: ts.sys.readDirectory,
    directoryExists: ts.sys.directoryExists,
    getDirectories: ts.sys.getDirectories
  })
  const put = (path: string, text: string | undefined) => {
    if (text === undefined) changed.delete(path)
    else changed.set(path, text)
    versions.set(path, (versions.get(path) ?? 0) + 1)
  }
  const refused = new Map<string, string>()
  for (const { files, name } of mutants) {
    const paths = files.map((file) => ({ file, path: join(root, file.path) }))
    try {
      for (const { file, path } of paths) put(path, applyPatch(readFileSync(path, "utf8"), file))
      const [first] = paths.flatMap(({ path }) => [
        ...service.getSyntacticDiagnostics(path),
        ...service.getSemanticDiagnostics(path)
      ])
      if (first !== undefined) refused.set(name, ts.flattenDiagnosticMessageText(first.messageText, " "))
    } catch (cause) {
      refused.set(name, String(cause))
    }
    for (const { path } of paths) put(path, undefined)
  }
  return refused
}
