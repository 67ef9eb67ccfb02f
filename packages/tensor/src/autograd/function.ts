import { ArgumentError, AutogradError } from '@magi-attention/common'
import { assertTensor } from '../check.js'
import { isFloatDType } from '../dtype.js'
import { Tensor } from '../tensor.js'
import { is_grad_enabled, no_grad } from './grad-mode.js'
import { type Edge, GraphNode } from './graph-node.js'
import { SavedTensor } from './saved-tensor.js'

/** What forward hands over to backward. */
export interface FunctionContext {
  /** Keeps inputs, outputs or intermediates for backward, even if their handles are disposed. At most one call. */
  save_for_backward(...tensors: Tensor[]): void
  /**
   * The saved tensors, without history. Those of backward are freed when it returns.
   * @throws AutogradError if one was overwritten since
   */
  readonly saved_tensors: readonly Tensor[]
  /** Declares outputs that get no gradient. */
  mark_non_differentiable(...outputs: Tensor[]): void
  /** For each input, whether its gradient is wanted. */
  readonly needs_input_grad: readonly boolean[]
}

/** A function with a derivative of its own. `Inputs` may be a tuple; null stands for an absent input. */
export interface CustomFunction<
  Options = undefined,
  Inputs extends readonly (Tensor | null)[] = readonly (Tensor | null)[],
> {
  /** For error messages. */
  readonly name: string
  /** Runs without recording. */
  forward(ctx: FunctionContext, inputs: Inputs, options: Options): Tensor[]
  /**
   * Runs without recording, in a scope: tensors that it makes and does not return are freed.
   * @returns a gradient for each input, of the input's shape, dtype and device, or null
   */
  backward(
    ctx: FunctionContext,
    grad_outputs: readonly (Tensor | null)[],
    options: Options,
  ): readonly (Tensor | null)[]
}

/**
 * Calls a function, and records it if gradients are enabled and an input requires one.
 *
 * @returns the outputs of `fn.forward`
 * @throws ArgumentError if an input is no tensor, DisposedError if one was disposed
 *
 * @example
 * const square: CustomFunction = {
 *   name: 'square',
 *   forward(ctx, [x]) {
 *     ctx.save_for_backward(x!)
 *     return [x!.mul(x!)]
 *   },
 *   backward(ctx, [grad]) {
 *     return [grad!.mul(ctx.saved_tensors[0]!).mul(2)]
 *   },
 * }
 * const [y] = apply_function(square, [x], undefined)
 */
export function apply_function<Options, Inputs extends readonly (Tensor | null)[]>(
  fn: CustomFunction<Options, Inputs>,
  inputs: Inputs,
  options: Options,
): Tensor[] {
  inputs.forEach((input, i) => {
    if (input !== null) assertTensor(`${fn.name} input ${i}`, input)
  })
  const needsGrad = inputs.map(input => is_grad_enabled() && input?.requires_grad === true)
  const isRecording = needsGrad.includes(true)
  const context = new Context(fn.name, needsGrad, isRecording)
  let results: Tensor[]
  let outputs: Tensor[]
  try {
    results = no_grad(() => fn.forward(context, inputs, options))
    outputs = ownOutputs(fn.name, inputs, results)
  } catch (error) {
    context.free()
    throw error
  }
  const isDifferentiable = results.map(
    output => isFloatDType(output.dtype) && !context.nonDifferentiable.has(output),
  )
  if (!isRecording || !isDifferentiable.includes(true)) {
    context.free()
    return outputs
  }

  const edges = inputs.map((input, i) => (needsGrad[i] ? edgeTo(input!) : null))
  const node = new GraphNode(
    {
      name: fn.name,
      backward: gradOutputs => fn.backward(context, gradOutputs, options),
      free: () => context.free(),
    },
    edges,
    outputs.map(gradientFormOf),
  )
  outputs.forEach((output, i) => {
    if (isDifferentiable[i]) output._setHistory(node, i)
  })
  return outputs
}

/** A tensor that forward hands through, or twice, gets a handle of its own, since it is a result of this call now. */
function ownOutputs(name: string, inputs: readonly (Tensor | null)[], results: unknown): Tensor[] {
  if (!Array.isArray(results) || !results.every(result => result instanceof Tensor)) {
    throw new ArgumentError({
      argument: `${name}.forward`,
      expected: 'to return a list of tensors',
      actual: results,
    })
  }
  return results.map((result, i) => {
    const isForeign = inputs.includes(result) || result.requires_grad || results.indexOf(result) < i
    return isForeign ? result._alias() : result
  })
}

export function gradientFormOf(tensor: Tensor): Edge['form'] {
  return { shape: tensor.shape, dtype: tensor.dtype, device: tensor.device }
}

function edgeTo(input: Tensor): Edge {
  const form = gradientFormOf(input)
  const { _gradFn: node, _outputIndex: outputIndex } = input
  return node ? { form, leaf: null, node, outputIndex } : { form, leaf: input, node: null, outputIndex: 0 }
}

class Context implements FunctionContext {
  readonly needs_input_grad: readonly boolean[]
  readonly nonDifferentiable = new Set<Tensor>()
  readonly #name: string
  readonly #isRecording: boolean
  #saved: SavedTensor[] | null = null

  constructor(name: string, needsGrad: readonly boolean[], isRecording: boolean) {
    this.#name = name
    this.needs_input_grad = needsGrad
    this.#isRecording = isRecording
  }

  save_for_backward(...tensors: Tensor[]): void {
    if (this.#saved) throw new AutogradError(`"${this.#name}" called save_for_backward twice`)
    tensors.forEach((tensor, i) => {
      assertTensor(`save_for_backward argument ${i}`, tensor)
    })
    this.#saved = this.#isRecording ? tensors.map(tensor => new SavedTensor(tensor)) : []
  }

  get saved_tensors(): readonly Tensor[] {
    return (this.#saved ?? []).map(saved => saved.unpack(this.#name))
  }

  mark_non_differentiable(...outputs: Tensor[]): void {
    for (const output of outputs) this.nonDifferentiable.add(output)
  }

  free(): void {
    for (const saved of this.#saved ?? []) saved.release()
    this.#saved = []
  }
}
