/** Reads the machine code that `cuobjdump -sass` prints. */

export interface Instruction {
  readonly address: number
  /** With its modifiers, such as `MUFU.EX2`. */
  readonly opcode: string
  readonly operands: string
  readonly isConditional: boolean
}

export interface SassFunction {
  readonly name: string
  readonly instructions: readonly Instruction[]
}

export function parseSass(text: string): SassFunction[] {
  const functions: { name: string; instructions: Instruction[] }[] = []
  for (const line of text.split('\n')) {
    const begin = line.match(/^\s*Function : (\S+)/)
    if (begin) functions.push({ name: begin[1]!, instructions: [] })
    const code = line.match(/^\s*\/\*([0-9a-f]{4,})\*\/\s+(?:@(!?U?P\w+)\s+)?([A-Z][\w.]*)\s*([^;]*);/)
    if (!code) continue
    const [, address, predicate, opcode, operands] = code
    functions.at(-1)?.instructions.push({
      address: Number.parseInt(address!, 16),
      opcode: opcode!,
      operands: operands!.trim(),
      isConditional: predicate !== undefined || /^!?U?P\w+,/.test(operands!),
    })
  }
  return functions
}

/** Indices of the instructions that may run after the one at `index`. */
export function successors(instructions: readonly Instruction[], index: number): number[] {
  const { opcode, operands, isConditional } = instructions[index]!
  const name = opcode.split('.')[0]!
  const next = index + 1 < instructions.length ? [index + 1] : []
  if (name === 'BRA') {
    const target = indexOfTarget(instructions, operands)
    return isConditional ? [...next, ...target] : target
  }
  if (name === 'BSYNC') {
    // Execution goes on where the last BSSY of the same barrier said.
    const barrier = operands.match(/B\d+/)?.[0]
    const set = instructions
      .slice(0, index)
      .findLast(({ opcode, operands }) => opcode.startsWith('BSSY') && operands.startsWith(`${barrier},`))
    const target = set ? indexOfTarget(instructions, set.operands) : next
    return isConditional ? [...next, ...target] : target
  }
  const ends = ['EXIT', 'RET', 'BRX', 'JMP', 'JMX', 'KILL']
  return ends.includes(name) && !isConditional ? [] : next
}

function indexOfTarget(instructions: readonly Instruction[], operands: string): number[] {
  const address = operands.match(/0x([0-9a-f]+)\s*$/)?.[1]
  const index = instructions.findIndex(
    instruction => instruction.address === Number.parseInt(address ?? '', 16),
  )
  return index < 0 ? [] : [index]
}
