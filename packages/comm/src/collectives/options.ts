import { assertOptions, parseFlag } from '../check.js'
import type { ProcessGroup } from '../process-group.js'
import { resolveGroup } from '../world.js'

/** What every collective takes. */
export interface CollectiveOptions {
  /** Default: all ranks of the job. */
  readonly group?: ProcessGroup | null | undefined
  /** True: returns at once, and the tensors are busy until the work was waited for. Default: false. */
  readonly async_op?: boolean | undefined
}

/** Resolves what every collective takes; `names` are the options of its own. */
export function parseOptions(
  operation: string,
  options: CollectiveOptions,
  names: readonly string[] = [],
): { group: ProcessGroup; async_op: boolean } {
  assertOptions('options', options, [...names, 'group', 'async_op'])
  return {
    group: resolveGroup(operation, options.group),
    async_op: parseFlag('async_op', options.async_op, false),
  }
}
