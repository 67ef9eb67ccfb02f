/// <reference lib="esnext.disposable" preserve="true" />
import { assertSynchronous } from './autograd/grad-mode.js'
import { Tensor } from './tensor.js'

/** The scopes whose functions run, innermost last; null where nothing is tracked. */
const running: (TensorScope | null)[] = []

/**
 * Owns tensors and frees them together. As an object it also works across `await`, where `tidy` cannot.
 *
 * @example
 * using scope = new TensorScope()
 * const hidden = scope.run(() => x.matmul(w).add(b))
 * await report(hidden)
 */
export class TensorScope implements Disposable {
  readonly #tensors = new Set<Tensor>()

  /** Runs `body` and takes every tensor that is made meanwhile, results included, until the scope is disposed. */
  run<T>(body: () => T): T {
    return runInScope(this, body)
  }

  /** Takes a tensor that was made elsewhere, and returns it. */
  track<T extends Tensor>(tensor: T): T {
    tensor._scope?.keep(tensor)
    tensor._scope = this
    this.#tensors.add(tensor)
    return tensor
  }

  /** Lets a tensor go: it survives the scope. Returns it. */
  keep<T extends Tensor>(tensor: T): T {
    if (tensor._scope === this) tensor._scope = null
    this.#tensors.delete(tensor)
    return tensor
  }

  /** Number of tensors that would be freed. */
  get size(): number {
    return this.#tensors.size
  }

  /** Frees the tensors of the scope. It may be used again afterwards. */
  dispose(): void {
    this._disposeExcept(new Set(), null)
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  /** Hands the kept tensors to the outer scope, or to nobody, and frees the others. @internal */
  _disposeExcept(kept: ReadonlySet<Tensor>, outer: TensorScope | null): void {
    for (const tensor of [...this.#tensors]) {
      if (!kept.has(tensor)) tensor._dispose(kept)
      else if (outer) outer.track(tensor)
      else this.keep(tensor)
    }
    this.#tensors.clear()
  }
}

/**
 * Runs `body` and frees every tensor made inside, except those it returns (alone or inside arrays and objects) and the
 * gradients of leaves. Tensors that the tape needs for a later backward stay until then.
 *
 * @throws ArgumentError if `body` returns a promise; use a `TensorScope` there
 *
 * @example
 * const loss = tidy(() => {
 *   const loss = model(x).sub(y).mul(2).sum()
 *   loss.backward()
 *   return loss.item()
 * })
 */
export function tidy<T>(body: () => T): T {
  const scope = new TensorScope()
  const kept = new Set<Tensor>()
  try {
    const result = runInScope(scope, body)
    assertSynchronous('tidy', result, 'Use a TensorScope across await.')
    collectTensors(result, kept, new Set())
    return result
  } finally {
    scope._disposeExcept(kept, running.at(-1) ?? null)
  }
}

/** Takes a tensor out of the scope that owns it, so that it survives, and returns it. */
export function keep<T extends Tensor>(tensor: T): T {
  return tensor._scope ? tensor._scope.keep(tensor) : tensor
}

/** Runs `body` with the tensors that it makes going to `scope`, or to no scope. */
export function runInScope<T>(scope: TensorScope | null, body: () => T): T {
  running.push(scope)
  try {
    return body()
  } finally {
    running.pop()
  }
}

/** Called for each new tensor. */
export function trackInRunningScope(tensor: Tensor): void {
  running.at(-1)?.track(tensor)
}

function collectTensors(value: unknown, found: Set<Tensor>, visited: Set<object>): void {
  const stack = [value]
  while (stack.length > 0) {
    const item = stack.pop()
    if (typeof item !== 'object' || item === null || ArrayBuffer.isView(item) || visited.has(item)) continue
    visited.add(item)
    if (item instanceof Tensor) {
      found.add(item)
      if (item._grad) found.add(item._grad)
    } else if (item instanceof Map || item instanceof Set) {
      for (const entry of item) stack.push(entry)
    } else {
      for (const member of Object.values(item)) stack.push(member)
    }
  }
}
