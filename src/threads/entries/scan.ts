/** The thread that scans beside the one that searches: see src/index/embedded/ScanBoard.ts. */
import { Answering } from "../../index/embedded/ScanBoard.ts"
import { kernelOver } from "../../index/embedded/ScanKernel.ts"
import type { ScanThreadData } from "../../index/embedded/SecondScan.ts"
import { threadData } from "../ThreadEntry.ts"

const { at, memory } = threadData as ScanThreadData
const answering = new Answering(memory, kernelOver(memory), at)

for (let last = 0; ; ) {
  last = answering.next(last)
  answering.answer(last)
}
