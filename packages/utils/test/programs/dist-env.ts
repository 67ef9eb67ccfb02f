/** Sets up and clears the environment twice; reports its place and some numbers. */
import assert from 'node:assert/strict'
import { barrier, is_initialized } from '@magi-attention/comm'
import { report } from '@magi-attention/comm/testing'
import { ArgumentError, CommError } from '@magi-attention/common'
import { randn } from '@magi-attention/tensor'
import { clearup_dist_env, setup_dist_env } from '../../src/index.js'

assert.throws(() => setup_dist_env({ base_seed: 0.5 }), ArgumentError)
assert.throws(() => setup_dist_env({ seed_bias: 3 as never }), ArgumentError)
assert.throws(() => setup_dist_env({ seed: 3 } as never), ArgumentError)
assert.equal(is_initialized(), false)

const [rank, local, size, nodes, localSize, group, device, seed] = setup_dist_env({
  base_seed: 40,
  seed_bias: rank => 2 * rank,
  timeout: 60,
})
report([rank, local, size, nodes, localSize, group.size(), device, seed])
report(randn(3).tolist())
assert.throws(() => setup_dist_env(), CommError)
barrier()
clearup_dist_env()
clearup_dist_env()
assert.equal(is_initialized(), false)
