import { ArgumentError, ShapeError } from '@magi-attention/common'
import type { Tensor } from '@magi-attention/tensor'
import { assertTensor } from '@magi-attention/tensor/internal'
import { assertRows, assertSameRows, assertSplit, rowElements } from '../check.js'

/** One tensor, or several that travel by one plan. */
export type Tensors = Tensor | readonly Tensor[]

/** The tensors of both sides, pair by pair. */
export interface TensorPair {
  readonly input: Tensor
  readonly output: Tensor
}

/**
 * Pairs the tensors of both sides, and checks that the plan's sizes are theirs.
 * @throws ArgumentError, ShapeError, DTypeError, DisposedError
 */
export function pairTensors(
  input: unknown,
  output: unknown,
  inputSplits: readonly number[],
  outputSplits: readonly number[],
): TensorPair[] {
  const isList = Array.isArray(input)
  if (isList !== Array.isArray(output)) {
    throw new ArgumentError({
      argument: 'output',
      expected: isList ? 'a list of tensors, as input' : 'a Tensor, as input',
      actual: output,
    })
  }
  if (isList && input.length !== (output as unknown[]).length) {
    throw new ArgumentError({
      argument: 'output',
      expected: `${input.length} tensors, as input`,
      actual: output,
    })
  }
  const inputs: unknown[] = isList ? input : [input]
  const outputs: unknown[] = isList ? (output as unknown[]) : [output]
  if (inputs.length === 0) {
    throw new ArgumentError({ argument: 'input', expected: 'at least one tensor', actual: input })
  }
  return inputs.map((value, i) => {
    const names = isList ? [`input[${i}]`, `output[${i}]`] : ['input', 'output']
    const source = assertRows(names[0]!, value)
    const target = assertSameRows(names[1]!, outputs[i], names[0]!, source)
    assertSplit('input_split_sizes', inputSplits, names[0]!, source)
    assertSplit('output_split_sizes', outputSplits, names[1]!, target)
    return { input: source, output: target }
  })
}

/**
 * The lse companions of `input` and `output`: float32, with the same rows.
 * @throws ArgumentError, ShapeError, DTypeError, DisposedError
 */
export function pairLse(inputLse: unknown, outputLse: unknown, { input, output }: TensorPair): TensorPair {
  const source = assertLse('input_lse', inputLse, 'input', input)
  const target = assertLse('output_lse', outputLse, 'output', output)
  assertSameRows('output_lse', target, 'input_lse', source)
  return { input: source, output: target }
}

function assertLse(argument: string, value: unknown, name: string, owner: Tensor): Tensor {
  const lse = assertTensor(argument, value, { dtype: 'float32', device: 'cpu' })
  if (lse.ndim > 0 && lse.shape[0] === owner.shape[0]) return lse
  throw new ShapeError({ argument, expected: `as many rows as ${name}, ${owner.shape[0]}`, actual: lse })
}

/** For a merge by lse: the rows of the output are one vector for each number in the rows of its lse. */
export function assertHeads(lse: Tensor, output: Tensor): void {
  const heads = rowElements(lse.shape)
  const leading = output.shape.slice(1, lse.ndim)
  if (heads > 0 && leading.every((size, i) => size === lse.shape[i + 1]) && lse.ndim <= output.ndim) return
  throw new ShapeError({
    argument: 'output_lse',
    expected: `the shape of output without its last dimension, ${output}`,
    actual: lse,
  })
}
