/** Distributed attention against float64 attention on one device, over cases that the environment brings. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { all_reduce, destroy_process_group, init_process_group } from '@magi-attention/comm'
import { memory, TensorScope, tensor } from '@magi-attention/tensor'
import { clear_cache, type DistAttnRuntimeKey, dist_attn_runtime_dict_mgr } from '../../src/index.js'
import type { AttentionCase } from '../helpers/attention-case.js'
import { compareWithReference, makeInputs, makeKey, runCase } from '../helpers/run-case.js'

/** Most queries that a rank fetches. */
let mostQueries = 0
const cases: AttentionCase[] = JSON.parse(readFileSync(process.argv[2]!, 'utf8'))
const group = init_process_group({ timeout: 60 })

for (const problem of cases) {
  const env = { ...problem.env, ...(group.rank() % 2 === 0 ? problem.envOfEvenRanks : {}) }
  Object.assign(process.env, env)
  const key = makeKey(problem, group)
  const before = memory()
  const scope = new TensorScope()
  try {
    scope.run(() => {
      const inputs = makeInputs(problem)
      const results = runCase(problem, key, inputs)
      if (key.qo_comm) mostQueries = Math.max(mostQueries, fetchedQueries(problem, key))
      if (group.rank() === 0) compareWithReference(problem, inputs, results)
    })
  } catch (error) {
    console.error(`${problem.name} on rank ${group.rank()}: ${JSON.stringify(problem)}`)
    throw error
  }
  scope.dispose()
  assert.deepEqual(
    [memory().tensors, memory().bytes],
    [before.tensors, before.bytes],
    `${problem.name}: leaks`,
  )
  for (const name of Object.keys(env)) delete process.env[name]
}

const most = tensor([mostQueries])
all_reduce(most, { op: 'max' })
if (group.size() > 1) assert.ok(most.item() > 0, 'queries travel')
clear_cache()
destroy_process_group()

function fetchedQueries({ dtype }: AttentionCase, key: DistAttnRuntimeKey): number {
  const plan = dist_attn_runtime_dict_mgr.get(key)!.qo_plan(key.heads!, dtype === 'float32' ? 4 : 2)
  return plan.calc_meta.seqlen_q_remote
}
