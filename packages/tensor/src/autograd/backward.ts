import { AutogradError } from '@magi-attention/common'
import { assertTensor } from '../check.js'
import { ones_like } from '../factory.js'
import { addInPlace } from '../ops/elementwise.js'
import { runInScope, TensorScope } from '../scope.js'
import { sameShape } from '../shape.js'
import { Tensor } from '../tensor.js'
import { gradientFormOf } from './function.js'
import { no_grad } from './grad-mode.js'
import type { GradientForm, GraphNode } from './graph-node.js'

export interface BackwardOptions {
  /** Keeps the saved tensors, so that backward can run through this graph again. Default false. */
  readonly retain_graph?: boolean | undefined
}

type Gradients = (Tensor | null)[]

/** Reverse-mode differentiation from `root`, in an order where every node runs once all its gradients are there. */
export function runBackward(root: Tensor, grad: Tensor | undefined, options: BackwardOptions): void {
  if (!root.requires_grad) {
    throw new AutogradError('backward() needs a tensor with history: this one does not require gradients.', {
      actual: root,
      hint: 'Set requires_grad on a leaf before computing, and compute outside of no_grad.',
    })
  }
  runInScope(null, () =>
    no_grad(() => propagate(root, seedGradient(root, grad), options.retain_graph === true)),
  )
}

function seedGradient(root: Tensor, grad: Tensor | undefined): Tensor {
  if (grad === undefined) {
    if (root.numel() === 1) return ones_like(root)
    throw new AutogradError(
      `backward() without a gradient needs a tensor of one element, got shape [${root.shape.join(', ')}]. ` +
        'Pass the gradient of the result, or reduce it with sum() or mean().',
    )
  }
  assertTensor('grad', grad)
  assertGradient('backward(grad)', gradientFormOf(root), grad)
  return grad._alias()
}

function propagate(root: Tensor, seed: Tensor, retainGraph: boolean): void {
  if (root._gradFn === null) {
    accumulate(root, seed)
    return
  }
  const dependencies = countDependencies(root._gradFn, seed)
  const pending = new Map<GraphNode, Gradients>([[root._gradFn, []]])
  for (const node of dependencies.keys()) node.retain()
  deliver(pending, root._gradFn, root._outputIndex, seed)

  const ready: GraphNode[] = [root._gradFn]
  try {
    for (let node = ready.pop(); node !== undefined; node = ready.pop()) {
      const edges = node.edges
      const gradients = runNode(node, pending.get(node) ?? [])
      pending.delete(node)
      edges.forEach((edge, i) => {
        const gradient = gradients[i] ?? null
        if (edge?.leaf && gradient) accumulate(edge.leaf, gradient)
        if (!edge?.node) return
        if (gradient) deliver(pending, edge.node, edge.outputIndex, gradient)
        const left = dependencies.get(edge.node)! - 1
        dependencies.set(edge.node, left)
        if (left === 0) ready.push(edge.node)
      })
      if (!retainGraph) node.free()
    }
  } finally {
    for (const gradients of pending.values()) for (const gradient of gradients) gradient?.dispose()
    for (const node of dependencies.keys()) node.release()
  }
}

/** For each node that can be reached, how many edges lead to it. */
function countDependencies(root: GraphNode, seed: Tensor): Map<GraphNode, number> {
  const counts = new Map<GraphNode, number>([[root, 0]])
  const stack = [root]
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (node.isFreed) {
      seed.dispose()
      throw new AutogradError(
        `backward() came to "${node.work.name}" a second time, and what it had saved is freed. ` +
          'Compute the result again, or pass { retain_graph: true } to the first backward().',
      )
    }
    for (const edge of node.edges) {
      if (!edge?.node) continue
      const count = counts.get(edge.node)
      if (count === undefined) stack.push(edge.node)
      counts.set(edge.node, (count ?? 0) + 1)
    }
  }
  return counts
}

/** Runs one node; the gradients that come back belong to the caller, those that went in are freed. */
function runNode(node: GraphNode, gradOutputs: Gradients): Gradients {
  const filled = node.outputs.map((_, i) => gradOutputs[i] ?? null)
  const scope = new TensorScope()
  try {
    if (!filled.some(gradient => gradient !== null)) return []
    const returned = scope.run(() => node.work.backward(filled))
    if (!Array.isArray(returned) || returned.length !== node.edges.length) {
      throw new AutogradError(
        `The backward of "${node.work.name}" must return ${node.edges.length} gradients, one for each input, ` +
          `got ${Array.isArray(returned) ? returned.length : typeof returned}.`,
      )
    }
    node.edges.forEach((edge, i) => {
      if (edge && returned[i])
        assertGradient(`backward of "${node.work.name}", input ${i}`, edge.form, returned[i])
    })
    return node.edges.map((edge, i) => (edge && returned[i] ? returned[i]._alias() : null))
  } finally {
    scope.dispose()
    for (const gradient of filled) gradient?.dispose()
  }
}

function assertGradient(where: string, form: GradientForm, grad: unknown): void {
  const expected = `a ${form.dtype} tensor of shape [${form.shape.join(', ')}] on ${form.device}`
  if (!(grad instanceof Tensor) || grad.is_disposed) {
    throw new AutogradError(`${where}: expected ${expected}, got ${String(grad)}`, { actual: grad, expected })
  }
  if (sameShape(grad.shape, form.shape) && grad.dtype === form.dtype && grad.device === form.device) return
  throw new AutogradError(`${where}: expected ${expected}, got ${String(grad)}`, { actual: grad, expected })
}

/** Adds a gradient to what has come for this output; takes ownership. */
function deliver(
  pending: Map<GraphNode, Gradients>,
  node: GraphNode,
  outputIndex: number,
  gradient: Tensor,
): void {
  const gradients = pending.get(node) ?? []
  pending.set(node, gradients)
  const before = gradients[outputIndex]
  if (!before) {
    gradients[outputIndex] = gradient
    return
  }
  gradients[outputIndex] = before.add(gradient)
  before.dispose()
  gradient.dispose()
}

/** Adds a gradient to a leaf's, in the leaf's dtype, rounding once for each addition; takes ownership. */
function accumulate(leaf: Tensor, gradient: Tensor): void {
  if (leaf.is_disposed) {
    gradient.dispose()
  } else if (leaf._grad && !leaf._grad.is_disposed) {
    addInPlace(leaf._grad, gradient)
    gradient.dispose()
  } else if (gradient._ownsStorage) {
    leaf._grad = gradient
  } else {
    leaf._grad = gradient.clone()
    gradient.dispose()
  }
}
