import { naturalLoops } from './natural-loops.js'
import { type Instruction, type SassFunction, successors } from './sass.js'

export interface SoftmaxLoop {
  /** Address of the loop's first instruction. */
  readonly address: number
  readonly exponentials: number
  /** Exponentials that run while products are under way: the loop waits for products after them before it issues new ones. */
  readonly overlapped: number
}

/**
 * The main loops of an attention kernel for Hopper: the innermost ones that issue products (HGMMA), take exponentials (MUFU.EX2)
 * and wait for products (WARPGROUP.DEPBAR).
 *
 * The compiler may move exponentials below the wait that they stand before in the source. The result is right, and slow: the matrix
 * units idle meanwhile.
 */
export function softmaxLoops({ instructions }: SassFunction): SoftmaxLoop[] {
  const loops = naturalLoops(instructions.map((_, index) => successors(instructions, index))).filter(
    ({ nodes }) =>
      [isProduct, isExponential, isWait].every(test => nodes.some(node => test(instructions[node]!))),
  )
  const innermost = loops.filter(
    loop => !loops.some(other => other !== loop && isInside(other.nodes, loop.nodes)),
  )
  return innermost.map(({ header, nodes }) => {
    const exponentials = nodes.filter(node => isExponential(instructions[node]!))
    return {
      address: instructions[header]!.address,
      exponentials: exponentials.length,
      overlapped: exponentials.filter(node => waitComesNext(instructions, node, new Set(nodes))).length,
    }
  })
}

/** Whether every path from `start` within the loop meets a wait before it meets a product. */
function waitComesNext(
  instructions: readonly Instruction[],
  start: number,
  loop: ReadonlySet<number>,
): boolean {
  const seen = new Set<number>()
  const open = [start]
  while (open.length > 0) {
    const node = open.pop()!
    if (isProduct(instructions[node]!)) return false
    if (seen.has(node) || !loop.has(node) || isWait(instructions[node]!)) continue
    seen.add(node)
    open.push(...successors(instructions, node))
  }
  return true
}

function isInside(inner: readonly number[], outer: readonly number[]): boolean {
  const nodes = new Set(outer)
  return inner.every(node => nodes.has(node))
}

function isProduct({ opcode }: Instruction): boolean {
  return opcode.startsWith('HGMMA')
}

function isExponential({ opcode }: Instruction): boolean {
  return opcode.startsWith('MUFU.EX2')
}

function isWait({ opcode }: Instruction): boolean {
  return opcode.startsWith('WARPGROUP.DEPBAR')
}
