import * as fc from 'fast-check'
import { describe, it } from 'vitest'
import { type AttentionCase, caseDefaults, maskFamilies } from './helpers/attention-case.js'
import { runProgram } from './helpers/run-program.js'

const families = Object.entries(maskFamilies)
const degrees = [0, 1, 2, 3, 'dynamic'] as const

const switchOf = (name: string, value = '1') => ({ [`MAGI_ATTENTION_${name}`]: value })

/** A kernel call for each stage: so small problems would do without by themselves. */
const callPerStage = switchOf('MERGE_STAGES', 'never')

/** Every mask with two of the degrees, in turn, once with stages that share kernel calls and once without. */
const masksByDegree: AttentionCase[] = families.flatMap(([name, mask], i) =>
  [0, 1].flatMap(offset => {
    const degree = degrees[(i + 2 * offset) % degrees.length]!
    const total = 91 + i
    const problem = { ...caseDefaults, ...mask(total), total, degree, seed: i }
    return [
      { ...problem, name: `${name}, degree ${degree}` },
      { ...problem, name: `${name}, degree ${degree}, a call for each stage`, env: callPerStage },
    ]
  }),
)

const causal = maskFamilies.causal!(caseDefaults.total)
const allTypes = maskFamilies['all types']!(caseDefaults.total)
const empty = maskFamilies['rows without keys']!(caseDefaults.total)
const base = { ...caseDefaults, ...causal, seed: 7 }

/** Few queries see all keys: to bring them to the keys is cheaper than the reverse. */
const varlenOneLong: Pick<AttentionCase, 'q_ranges' | 'k_ranges' | 'attn_mask_type'> = {
  q_ranges: [
    [0, 6],
    [6, 96],
  ],
  k_ranges: [
    [0, 96],
    [0, 4],
  ],
  attn_mask_type: ['full', 'full'],
}

const flattened = switchOf('FLATTEN_HEAD_GROUPS')

const variants: AttentionCase[] = [
  { ...base, name: 'one head, sink', heads: [1, 1, 16], sinkTokens: 3 },
  { ...base, name: 'GQA, sink, two stages', heads: [6, 2, 8], sinkTokens: 4, degree: 2 },
  { ...base, name: 'sink, no overlap', sinkTokens: 2, degree: 0 },
  { ...base, ...empty, name: 'sink, rows without keys', sinkTokens: 2, degree: 2 },
  { ...base, ...allTypes, name: 'softcap', softcap: 2.5, degree: 3 },
  { ...base, ...allTypes, name: 'softmax_scale', softmax_scale: -0.2, degree: 2 },
  { ...base, ...allTypes, name: 'uneven shards', total: 96, uneven: true, degree: 2 },
  {
    ...base,
    name: 'uneven shards with a short chunk',
    ...maskFamilies['varlen causal']!(92),
    total: 92,
    uneven: true,
  },
  { ...base, name: 'bfloat16', dtype: 'bfloat16', sinkTokens: 1, degree: 2 },
  { ...base, name: 'float16', dtype: 'float16' },
  { ...base, name: 'float64', dtype: 'float64', sinkTokens: 1, degree: 2 },
  { ...base, name: 'keys asked for one stage ahead', degree: 3, env: { CUDA_DEVICE_MAX_CONNECTIONS: '1' } },
  { ...base, name: 'hidden tail', degree: 3, sinkTokens: 2, env: switchOf('BWD_HIDE_TAIL_REDUCE') },
  { ...base, ...empty, name: 'hidden tail, idle stages', degree: 3, env: switchOf('BWD_HIDE_TAIL_REDUCE') },
  {
    ...base,
    name: 'hidden tail, one stage ahead',
    degree: 2,
    env: { ...switchOf('BWD_HIDE_TAIL_REDUCE'), CUDA_DEVICE_MAX_CONNECTIONS: '1' },
  },
  {
    ...base,
    name: 'high precision',
    dtype: 'bfloat16',
    degree: 2,
    env: switchOf('BACKWARD_HIGH_PRECISION_REDUCE'),
  },
  { ...base, name: 'sum of dsink', sinkTokens: 2, env: switchOf('DSINK_ALL_REDUCE_OP', 'sum') },
  { ...base, name: 'other precision', dtype: 'bfloat16', degree: 2, env: switchOf('PRECISION', 'fp32') },
  {
    ...base,
    name: 'queries travel',
    ...varlenOneLong,
    heads: [2, 2, 8],
    sinkTokens: 2,
    env: switchOf('QO_COMM'),
  },
  { ...base, name: 'queries travel, all types', ...allTypes, softcap: 3, env: switchOf('QO_COMM') },
  { ...base, name: 'queries travel, rows without keys', ...empty, sinkTokens: 1, env: switchOf('QO_COMM') },
  { ...base, name: 'queries travel, bfloat16', dtype: 'bfloat16', env: switchOf('QO_COMM') },
  {
    ...base,
    name: 'queries travel, high precision',
    dtype: 'bfloat16',
    env: { ...switchOf('QO_COMM'), ...switchOf('FORWARD_HIGH_PRECISION_REDUCE') },
  },
  { ...base, name: 'heads one by one', ...allTypes, heads: [6, 3, 8], softcap: 2, degree: 2, env: flattened },
  {
    ...base,
    name: 'heads one by one, uneven shards with a short chunk',
    ...maskFamilies['varlen causal']!(92),
    total: 92,
    uneven: true,
    heads: [4, 2, 8],
    dtype: 'bfloat16',
    env: flattened,
  },
  {
    ...base,
    name: 'heads one by one, queries travel',
    ...varlenOneLong,
    heads: [4, 4, 8],
    env: { ...flattened, ...switchOf('QO_COMM') },
  },
  { ...base, name: 'kernel calls that differ between ranks', degree: 3, envOfEvenRanks: callPerStage },
  { ...base, name: 'plans checked', degree: 2, env: switchOf('SANITY_CHECK') },
]

/** Also with a kernel call for each stage, where queries stay. */
const variantsByStage = variants
  .filter(({ env, degree }) => degree !== 0 && !('MAGI_ATTENTION_QO_COMM' in env))
  .map(variant => ({
    ...variant,
    name: `${variant.name}, by stage`,
    env: { ...variant.env, ...callPerStage },
  }))

const sliceArbitrary = (total: number) =>
  fc
    .tuple(fc.nat(total), fc.nat(total), fc.nat(total), fc.nat(total), fc.nat(3))
    .map(([a, b, c, d, type]) => ({
      q: [Math.min(a, b), Math.max(a, b)] as [number, number],
      k: [Math.min(c, d), Math.max(c, d)] as [number, number],
      type,
    }))

/** Slices in any order, of any type, overlapping and empty; one full slice sees to it that there are cells. */
const caseArbitrary: fc.Arbitrary<AttentionCase> = fc.integer({ min: 64, max: 120 }).chain(total =>
  fc
    .record({
      slices: fc.array(sliceArbitrary(total), { maxLength: 6 }),
      chunk_size: fc.integer({ min: 1, max: 8 }),
      uneven: fc.boolean(),
      degree: fc.constantFrom(...degrees),
      heads: fc.constantFrom([1, 1, 8] as const, [2, 2, 8] as const, [4, 2, 8] as const, [3, 1, 16] as const),
      sinkTokens: fc.constantFrom(0, 2),
      softcap: fc.constantFrom(0, 0, 3),
      seed: fc.nat(1 << 20),
      env: fc.constantFrom({}, callPerStage),
    })
    .map(({ slices, ...rest }) => {
      const all = [...slices, { q: [3, 9] as [number, number], k: [0, total] as [number, number], type: 0 }]
      return {
        ...caseDefaults,
        ...rest,
        name: `generated, seed ${rest.seed}`,
        total,
        q_ranges: all.map(({ q }) => q),
        k_ranges: all.map(({ k }) => k),
        attn_mask_type: all.map(({ type }) => type),
      }
    }),
)

describe('attention over several ranks', () => {
  it.each([1, 2, 3, 4, 8])('equals attention on one device, on %i ranks', async worldSize => {
    const generated = fc.sample(caseArbitrary, { numRuns: 25 })
    const travelling = fc.sample(caseArbitrary, { numRuns: 10 }).map(problem => ({
      ...problem,
      name: `${problem.name}, queries travel`,
      env: switchOf('QO_COMM'),
    }))
    await runProgram('attention', worldSize, [
      ...masksByDegree,
      ...variants,
      ...variantsByStage,
      ...generated,
      ...travelling,
    ])
  })
})
