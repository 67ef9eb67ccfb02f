/** A graph as the successors of each node; node 0 is the entry. */
export type Graph = readonly (readonly number[])[]

export interface Loop {
  readonly header: number
  /** All nodes, ascending. */
  readonly nodes: readonly number[]
}

/**
 * The natural loops of a graph: an edge back to a node that dominates its source, and all nodes that reach that source without
 * passing the header. A wait that spins out of line and jumps back into the middle of a loop is not one.
 */
export function naturalLoops(graph: Graph): Loop[] {
  const order = postorder(graph)
  const predecessors: number[][] = graph.map(() => [])
  for (const node of order) for (const next of graph[node]!) predecessors[next]!.push(node)
  const dominator = immediateDominators(order, predecessors)

  const bodies = new Map<number, Set<number>>()
  for (const node of order) {
    for (const header of graph[node]!) {
      if (!dominates(dominator, header, node)) continue
      const body = bodies.get(header) ?? new Set([header])
      bodies.set(header, body)
      const waiting = [node]
      while (waiting.length > 0) {
        const member = waiting.pop()!
        if (body.has(member)) continue
        body.add(member)
        waiting.push(...predecessors[member]!)
      }
    }
  }
  return [...bodies].map(([header, body]) => ({ header, nodes: [...body].sort((a, b) => a - b) }))
}

/** The nodes that the entry reaches, each after those that it leads to. */
function postorder(graph: Graph): number[] {
  const order: number[] = []
  const seen = new Set([0])
  const stack = [{ node: 0, edge: 0 }]
  while (stack.length > 0) {
    const top = stack.at(-1)!
    const next = graph[top.node]![top.edge++]
    if (next === undefined) {
      order.push(top.node)
      stack.pop()
    } else if (!seen.has(next)) {
      seen.add(next)
      stack.push({ node: next, edge: 0 })
    }
  }
  return order
}

/** By the algorithm of Cooper, Harvey and Kennedy: "A Simple, Fast Dominance Algorithm" (2001). */
function immediateDominators(
  order: readonly number[],
  predecessors: readonly number[][],
): Map<number, number> {
  const rank = new Map(order.map((node, index) => [node, index]))
  const dominator = new Map([[0, 0]])
  const common = (a: number, b: number): number => {
    while (a !== b) {
      if (rank.get(a)! < rank.get(b)!) a = dominator.get(a)!
      else b = dominator.get(b)!
    }
    return a
  }
  for (let changed = true; changed; ) {
    changed = false
    for (const node of order.toReversed()) {
      if (node === 0) continue
      const best = predecessors[node]!.filter(predecessor => dominator.has(predecessor)).reduce(common)
      if (dominator.get(node) !== best) {
        dominator.set(node, best)
        changed = true
      }
    }
  }
  return dominator
}

function dominates(dominator: ReadonlyMap<number, number>, ancestor: number, node: number): boolean {
  for (let at = node; ; at = dominator.get(at)!) {
    if (at === ancestor) return true
    if (at === 0) return false
  }
}
