import type { Device } from '../device.js'
import type { DType } from '../dtype.js'
import type { Shape } from '../shape.js'
import type { Tensor } from '../tensor.js'

/** What a gradient must look like. */
export interface GradientForm {
  readonly shape: Shape
  readonly dtype: DType
  readonly device: Device
}

/** Where the gradient of one input goes: to a leaf, or on to the function that made the input. */
export interface Edge {
  readonly form: GradientForm
  readonly leaf: Tensor | null
  readonly node: GraphNode | null
  readonly outputIndex: number
}

/** What a node does when the gradients of its outputs are known. */
export interface NodeWork {
  readonly name: string
  /** @returns a gradient, or null, for each input */
  backward(gradOutputs: readonly (Tensor | null)[]): readonly (Tensor | null)[]
  /** Drops the saved tensors. */
  free(): void
}

/**
 * One recorded call of a differentiable function. It counts the tensors and nodes that lead to it, so that the saved
 * tensors of a graph that nobody can run any more go back at once.
 */
export class GraphNode {
  readonly work: NodeWork
  readonly outputs: readonly GradientForm[]
  edges: readonly (Edge | null)[]
  isFreed = false
  #references = 0

  constructor(work: NodeWork, edges: readonly (Edge | null)[], outputs: readonly GradientForm[]) {
    this.work = work
    this.edges = edges
    this.outputs = outputs
    for (const edge of edges) edge?.node?.retain()
  }

  retain(): void {
    this.#references++
  }

  /** Walks with a stack of its own: graphs are deeper than the call stack. */
  release(): void {
    const stack: GraphNode[] = [this]
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      if (--node.#references === 0) stack.push(...node.#clear())
    }
  }

  /** Drops what backward needed: a second one is an error from here on. */
  free(): void {
    for (const node of this.#clear()) node.release()
  }

  #clear(): GraphNode[] {
    if (this.isFreed) return []
    this.isFreed = true
    const nodes = this.edges.flatMap(edge => edge?.node ?? [])
    this.edges = []
    this.work.free()
    return nodes
  }
}
