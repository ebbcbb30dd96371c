/**
 * What the thread that asks and one that scans beside it have in common, in the scan's memory: one question at a time, its
 * blocks, and which of them somebody has taken or finished.
 *
 * Nobody waits. Who asks looks at each block in the end: what the other one has finished is taken over, all else is done here,
 * if need be once more. The other one writes into a place of its own that each block has, and says which question it was
 * for: one that is late, or dies, disturbs no later question.
 */
import { boundsOf, type PlacedQuery, type ScanKernel } from "./ScanKernel.ts"

/** Points in a block at most, whatever their dimensions. */
const mostPoints = 2048
/** Bytes of a board's head, of a block's entry, and of its bounds. */
const head = 64
const entry = 16
const place = 8 * mostPoints

/** Numbers of 32 bits in the head; behind them, from byte 16 on, the query's five factors. A board's room never changes. */
const [count, queryAt, stride, boardRoom] = [0, 1, 2, 3]
const factors = 16
/** Numbers of 32 bits in an entry. `taken` and `finished` are of a question; the latter is negative where a bound is no number. */
const [codesAt, points, taken, finished] = [0, 1, 2, 3]
/** Numbers of 32 bits where both sides meet; behind them, from byte 16 on, the second one's room for dot products. */
const [question, boardAt] = [0, 1]
const dots = 16

export const bytesOfMeeting = dots + 4 * mostPoints
export const bytesOfBoard = (blocks: number): number => head + blocks * (entry + place)

/** A block of placed codes: an address, and how many. */
export interface Codes {
  readonly at: number
  readonly count: number
}

/** The side that asks. */
export class Asking {
  private readonly memory: WebAssembly.Memory
  private readonly meeting: Int32Array
  private readonly grow: (bytes: number) => number | undefined
  private board = 0
  /** Blocks that the board has room for. An outgrown board is left as it is: somebody may still write on it. */
  private room = 0
  private number = 0
  private entries = new Int32Array(0)

  /** `at`: an address that is a multiple of 8, for {@link bytesOfMeeting}. `grow` answers more such addresses. */
  constructor(memory: WebAssembly.Memory, at: number, grow: (bytes: number) => number | undefined) {
    this.memory = memory
    this.meeting = new Int32Array(memory.buffer, at, 4)
    this.grow = grow
  }

  /** A new question; the one before is over. Answers whether there is room for it. */
  ask(query: PlacedQuery, blocks: ReadonlyArray<Codes>): boolean {
    if (!this.widen(blocks.length)) return false
    const { buffer } = this.memory
    const { least, perError, perScale, perStep, unit } = query
    new Float64Array(buffer, this.board + factors, 5).set([unit, perScale, perError, perStep, least])
    const numbers = new Int32Array(buffer, this.board, 4)
    numbers[count] = blocks.length
    numbers[queryAt] = query.at
    numbers[stride] = query.stride
    this.entries = new Int32Array(buffer, this.board + head, 4 * blocks.length)
    for (const [number, block] of blocks.entries()) {
      this.entries[4 * number + codesAt] = block.at
      this.entries[4 * number + points] = block.count
    }
    this.number = this.number === 2 ** 31 - 1 ? 1 : this.number + 1
    this.meeting[boardAt] = this.board
    Atomics.store(this.meeting, question, this.number)
    Atomics.notify(this.meeting, question)
    return true
  }

  /**
   * The bounds of a block, or false where one of them is no number, if the other side has finished it. Otherwise it is not done
   * there any more, unless it is in hand.
   */
  take(block: number): Float64Array | false | undefined {
    const done = Atomics.load(this.entries, 4 * block + finished)
    if (done === -this.number) return false
    if (done !== this.number) {
      Atomics.store(this.entries, 4 * block + taken, this.number)
      return undefined
    }
    const at = placeOf(this.board, this.room, block)
    return new Float64Array(this.memory.buffer, at, this.entries[4 * block + points])
  }

  private widen(blocks: number): boolean {
    if (blocks <= this.room) return true
    const room = 2 * blocks
    const board = this.grow(bytesOfBoard(room))
    if (board === undefined) return false
    new Int32Array(this.memory.buffer, board, 4)[boardRoom] = room
    this.board = board
    this.room = room
    return true
  }
}

/** The side that scans what the other one has not come to yet: from the last block to the first. */
export class Answering {
  private readonly memory: WebAssembly.Memory
  private readonly kernel: ScanKernel
  private readonly meeting: Int32Array
  private readonly dots: number

  constructor(memory: WebAssembly.Memory, kernel: ScanKernel, at: number) {
    this.memory = memory
    this.kernel = kernel
    this.meeting = new Int32Array(memory.buffer, at, 4)
    this.dots = at + dots
  }

  /** The number of the current question; blocks the thread while it is still `last`. */
  next(last: number): number {
    Atomics.wait(this.meeting, question, last)
    return Atomics.load(this.meeting, question)
  }

  /** Until no block is left, or another question is asked. What is read here may be of that one already: then nobody looks. */
  answer(number: number): void {
    const { buffer } = this.memory
    const board = this.meeting[boardAt] ?? 0
    const numbers = new Int32Array(buffer, board, 4)
    const room = numbers[boardRoom] ?? 0
    const [unit = 0, perScale = 0, perError = 0, perStep = 0, least = 0] = new Float64Array(
      buffer,
      board + factors,
      5
    )
    const at = numbers[queryAt] ?? 0
    const query = { at, stride: numbers[stride] ?? 0, unit, perScale, perError, perStep, least }
    const blocks = Math.min(room, numbers[count] ?? 0)
    const entries = new Int32Array(buffer, board + head, 4 * blocks)
    for (let block = blocks - 1; block >= 0; block--) {
      if (Atomics.load(this.meeting, question) !== number) return
      if (Atomics.exchange(entries, 4 * block + taken, number) === number) continue
      const codes = entries[4 * block + codesAt] ?? 0
      const codesInBlock = Math.min(mostPoints, entries[4 * block + points] ?? 0)
      const out = placeOf(board, room, block)
      try {
        const areNumbers = boundsOf(this.kernel, query, codes, codesInBlock, this.dots, out)
        Atomics.store(entries, 4 * block + finished, areNumbers ? number : -number)
      } catch {
        // A mixture of two questions can point anywhere, even beyond the memory's end.
      }
    }
  }
}

/** Where a block's bounds go, behind the entries of all that a board has room for. */
const placeOf = (board: number, room: number, block: number): number =>
  board + head + entry * room + place * block
