import { ArgumentError } from '@magi-attention/common'

/** Names of MagiFfaKernel in ffa.h. */
const KERNEL_CODES: ReadonlyMap<string, number> = new Map([
  ['auto', 0],
  ['sm80', 80],
  ['sm90', 90],
])

const VARIABLE = 'MAGI_ATTENTION_FFA_KERNEL'

/**
 * Which CUDA kernels to run, by MAGI_ATTENTION_FFA_KERNEL: `auto` (default), the fastest that device and head_dim allow;
 * `sm80`, for any GPU from Ampere on; `sm90`, for Hopper. Read at each call.
 *
 * @throws ArgumentError for another value
 */
export function chosenKernel(): number {
  const name = process.env[VARIABLE]
  if (name === undefined || name === '') return 0
  const code = KERNEL_CODES.get(name)
  if (code !== undefined) return code
  throw new ArgumentError({
    argument: VARIABLE,
    expected: `one of ${[...KERNEL_CODES.keys()].join(', ')}`,
    actual: name,
  })
}
