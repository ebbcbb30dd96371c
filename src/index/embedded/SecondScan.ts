/**
 * A second thread for the scan, where a process searches much and again and again: while it scans, the thread that was asked
 * looks at the sparse side, and scans what is left then. It holds nothing but what lies in the scan's memory.
 */
import type { Worker } from "node:worker_threads"
import { workerFor } from "../../threads/Workers.ts"
import type { CodedQuery } from "./Codes.ts"
import { Asking, bytesOfMeeting, type Codes } from "./ScanBoard.ts"
import type { PlacedQuery } from "./ScanKernel.ts"

/** What the thread is started with. */
export interface ScanThreadData {
  readonly memory: WebAssembly.Memory
  /** Where both sides meet. */
  readonly at: number
}

/** Fewer blocks are scanned sooner than another thread has heard of them: a third of a millisecond's worth. */
const worthwhile = 8
/** Searches over that many that come before: a command that searches once, or three times, does without. */
const patience = 3

export class SecondScan {
  private readonly memory: WebAssembly.Memory
  private readonly grow: (bytes: number) => number | undefined
  private isAllowed: boolean
  private asked = 0
  private worker: Worker | undefined
  private meeting: { readonly at: number; readonly asking: Asking } | undefined
  /** The question that is asked: its blocks by their places' addresses. */
  private current: { readonly query: CodedQuery; readonly blocks: ReadonlyMap<number, number> } | undefined

  /** `grow` answers an address that is a multiple of 8, where so many bytes are free. */
  constructor(memory: WebAssembly.Memory, isAllowed: boolean, grow: (bytes: number) => number | undefined) {
    this.memory = memory
    this.grow = grow
    this.isAllowed = isAllowed
  }

  get isRunning(): boolean {
    return this.worker !== undefined
  }

  /** Codes that will be scanned in a moment, with this query alone: the second thread may begin. */
  begin(query: CodedQuery, placed: PlacedQuery, codes: ReadonlyArray<Codes>): void {
    this.current = undefined
    if (!this.isAllowed || codes.length < worthwhile) return
    this.asked += 1
    if (this.worker === undefined && this.asked > patience) this.start()
    if (this.worker === undefined || this.meeting?.asking.ask(placed, codes) !== true) return
    this.current = { query, blocks: new Map(codes.map(({ at }, block) => [at, block])) }
  }

  /** The bounds of codes, if the second thread has finished them; false where one of them is no number. */
  take(query: CodedQuery, at: number): Float64Array | false | undefined {
    if (this.current?.query !== query) {
      this.current = undefined
      return undefined
    }
    const block = this.current.blocks.get(at)
    return block === undefined ? undefined : this.meeting?.asking.take(block)
  }

  /** Ends the thread, until there is something to be scanned again and again. */
  rest(): void {
    this.current = undefined
    this.asked = 0
    const { worker } = this
    this.worker = undefined
    void worker?.terminate()
  }

  /** Without the thread, whatever the reason, this one does all. */
  private start(): void {
    const meeting = this.meeting ?? this.meet()
    if (meeting === undefined) return
    this.meeting = meeting
    const data: ScanThreadData = { memory: this.memory, at: meeting.at }
    try {
      const worker = workerFor("scan", data)
      worker.on("error", () => {
        this.isAllowed = false
      })
      worker.on("exit", () => {
        if (this.worker === worker) this.worker = undefined
      })
      worker.unref()
      this.worker = worker
    } catch {
      this.isAllowed = false
    }
  }

  private meet() {
    const at = this.grow(bytesOfMeeting)
    return at === undefined ? undefined : { at, asking: new Asking(this.memory, at, this.grow) }
  }
}
