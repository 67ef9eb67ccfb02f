/** group_cast and group_reduce: the worked examples, and generated plans against what each rank works out by itself. */
import assert from 'node:assert/strict'
import {
  barrier,
  destroy_process_group,
  group_cast,
  group_reduce,
  init_device_mesh,
  init_process_group,
} from '@magi-attention/comm'
import { type DType, full, type Tensor, TensorScope, tensor, zeros } from '@magi-attention/tensor'
import { backend } from '../helpers/backend.js'
import { castRows, makeCastPlan, makeReducePlan, reduceRows, totalRows } from '../helpers/plans.js'
import { assertValues, caught, flat, makeTensor, valueAt, valuesOf } from '../helpers/values.js'

const group = init_process_group({ backend, timeout: 60, shm_buffer_bytes: 4 * 65_536 })
const me = group.rank()
const size = group.size()
const pick = <T>(byRank: readonly T[]): T => byRank[me]!

function checkExamples(): void {
  const input = tensor(pick([[0, 1, 2, 3], [], [10, 11], [12, 13]]))
  const output = zeros(pick([0, 7, 2, 0]))
  const work = group_cast({
    input,
    output,
    input_split_sizes: pick([[2, 1, 1], [], [2], [1, 1]]),
    dst_indices: pick<number[][]>([[[1], [1, 2], [2]], [], [[1]], [[1], [1]]]),
    output_split_sizes: pick([[], [2, 2, 1, 1, 1], [1, 1], []]),
    src_index: pick([[], [0, 2, 0, 3, 3], [0, 0], []]),
  })
  assert.equal(work.wait_post_process(), output)
  assertValues(output, pick([[], [0, 1, 10, 11, 2, 12, 13], [2, 3], []]), 'group_cast, first example')
  assert.equal(caught(() => work.wait_post_process()).code, 'ERR_COMM')

  const rows = [4, 6, 7, 7]
  const received = zeros(pick(rows))
  group_cast({
    input: me === 0 ? tensor(Array.from({ length: 16 }, (_, i) => i)) : zeros(0),
    output: received,
    input_split_sizes: me === 0 ? [3, 4, 2, 6, 1] : [],
    dst_indices: me === 0 ? [[0, 1], [2, 3], [1, 2, 3], [], [0, 1, 2, 3]] : [],
    output_split_sizes: pick([
      [3, 1],
      [3, 2, 1],
      [4, 2, 1],
      [4, 2, 1],
    ]),
    src_index: pick([
      [0, 0],
      [0, 0, 0],
      [0, 0, 0],
      [0, 0, 0],
    ]),
  })
  const expected = [
    [0, 1, 2, 15],
    [0, 1, 2, 7, 8, 15],
    [3, 4, 5, 6, 7, 8, 15],
    [3, 4, 5, 6, 7, 8, 15],
  ]
  assertValues(received, pick(expected), 'group_cast, second example')

  const sums = full([4], me + 1)
  group_reduce({
    input: tensor(
      pick([
        [0, 1, 2, 3, 4],
        [5, 6, 7, 8, 9, 10, 11],
        [12, 13, 14, 15, 16],
        [17, 18, 19, 20, 21],
      ]),
    ),
    output: sums,
    input_split_sizes: pick([
      [2, 1, 2],
      [2, 2, 1, 1, 1],
      [1, 2, 2],
      [2, 1, 2],
    ]),
    dst_index: pick([
      [2, 3, 0],
      [0, 2, 0, 3, 3],
      [0, 1, 3],
      [1, 0, 2],
    ]),
    output_split_sizes: pick([
      [2, 1, 1],
      [2, 2],
      [2, 2],
      [1, 1, 2],
    ]),
    src_indices: pick([
      [[0, 1], [1, 2], [3]],
      [[3], [2]],
      [[0, 3], [1]],
      [[1], [0, 1], [2]],
    ]),
  })
  const totals = [
    [9, 11, 22, 20],
    [19, 20, 15, 16],
    [23, 25, 10, 11],
    [14, 17, 19, 20],
  ]
  assertValues(sums, pick(totals), 'group_reduce, example')
}

function castArguments(seed: number) {
  const plan = makeCastPlan(seed, size)
  const mine = {
    input_split_sizes: plan.input_split_sizes[me]!,
    output_split_sizes: plan.output_split_sizes[me]!,
    dst_indices: plan.dst_indices[me]!,
    src_index: plan.src_index[me]!,
  }
  const rows = castRows(plan, me)
  const expected = (columns: number, salt: number) =>
    rows.flatMap(([source, row]) =>
      Array.from({ length: columns }, (_, column) => valueAt(source, row * columns + column, salt)),
    )
  return { mine, expected, inputRows: totalRows(mine.input_split_sizes), outputRows: rows.length }
}

function checkCasts(seed: number, dtype: DType): void {
  const { mine, expected, inputRows, outputRows } = castArguments(seed)
  const shapes = [[2, 3], [5], [], [1000]]
  const input = shapes.map((shape, i) => makeTensor(me, [inputRows, ...shape], dtype, i))
  const output = shapes.map(shape => zeros([outputRows, ...shape], { dtype }))
  const columns = shapes.map(shape => shape.reduce((product, n) => product * n, 1))
  const work = group_cast({ ...mine, input, output, async_op: true, sanity_check: seed % 2 === 0 })
  const single = zeros([outputRows, 7], { dtype })
  const lse = zeros([outputRows, 2])
  const both = group_cast({
    ...mine,
    input: makeTensor(me, [inputRows, 7], dtype, 8),
    output: single,
    cast_lse: true,
    input_lse: makeTensor(me, [inputRows, 2], 'float32', 9),
    output_lse: lse,
  })
  assert.deepEqual(both.wait_post_process(), [single, lse])
  assertValues(single, expected(7, 8), `group_cast of plan ${seed}`)
  assertValues(lse, expected(2, 9), `group_cast of plan ${seed}, lse`)
  assert.deepEqual(work.wait_post_process(), output)
  output.forEach((x, i) => {
    assertValues(x, expected(columns[i]!, i), `group_cast of plan ${seed}, tensor ${i}`)
  })
}

function reduceArguments(seed: number) {
  const plan = makeReducePlan(seed, size)
  return {
    plan,
    mine: {
      input_split_sizes: plan.input_split_sizes[me]!,
      output_split_sizes: plan.output_split_sizes[me]!,
      dst_index: plan.dst_index[me]!,
      src_indices: plan.src_indices[me]!,
    },
    rows: reduceRows(plan, me),
    inputRows: totalRows(plan.input_split_sizes[me]!),
    valueOf: (source: number, row: number, columns: number, column: number, salt: number) =>
      valueAt(source, row * columns + column, salt),
  }
}

function checkSums(seed: number, dtype: DType, op: 'sum' | 'avg', comm_dtype?: DType): void {
  const { mine, rows, inputRows, valueOf } = reduceArguments(seed)
  const columns = 6
  const outputs = [0, 1].map(salt => makeTensor(me, [rows.length, 2, 3], dtype, 20 + salt))
  const before = outputs.map(flat)
  const work = group_reduce({
    ...mine,
    input: [0, 1].map(salt => makeTensor(me, [inputRows, 2, 3], dtype, salt)),
    output: outputs,
    reduce_op: op,
    comm_dtype,
    async_op: true,
    sanity_check: seed % 2 === 0,
  })
  assert.deepEqual(work.wait_post_process(), outputs)
  outputs.forEach((output, salt) => {
    const expected = tensor(
      rows.flatMap((pieces, row) =>
        Array.from({ length: columns }, (_, column) => {
          const values = pieces.map(([source, from]) => valueOf(source, from, columns, column, salt))
          const total = values.reduce((a, b) => a + b, before[salt]![row * columns + column]!)
          return op === 'sum'
            ? total
            : dtype === 'float64'
              ? total / (1 + values.length)
              : Math.fround(total / (1 + values.length))
        }),
      ),
      { dtype: dtype.startsWith('int') ? dtype : 'float64' },
    ).to(dtype)
    assertValues(output, flat(expected), `group_reduce ${op} ${dtype} of plan ${seed}`)
  })
}

/** Partial results merge as if the softmax had been taken at once. */
function checkLse(seed: number, comm_dtype?: DType): void {
  const { mine, rows, inputRows, valueOf } = reduceArguments(seed)
  const [heads, dim] = [2, 3]
  // Rare values stand for rows without keys, whose vectors must not count.
  const lseOf = (value: number) => (value > 3 ? -Infinity : value / 4)
  const vectorOf = (value: number, lse: number) => (lse === -Infinity ? Number.NaN : value)
  const make = (rank: number, count: number, salt: number): [Tensor, Tensor] => {
    const lse = valuesOf(rank, count * heads, salt + 1).map(lseOf)
    const out = valuesOf(rank, count * heads * dim, salt).map((value, i) =>
      vectorOf(value, lse[Math.floor(i / dim)]!),
    )
    return [tensor(out).view(count, heads, dim), tensor(lse).view(count, heads)]
  }
  const [input, input_lse] = make(me, inputRows, 0)
  const [output, output_lse] = make(me, rows.length, 40)
  const [oldOut, oldLse] = [flat(output), flat(output_lse)]
  const work = group_reduce({ ...mine, input, output, input_lse, output_lse, reduce_op: 'lse', comm_dtype })
  assert.deepEqual(work.wait_post_process(), [output, output_lse])
  const [newOut, newLse] = [flat(output), flat(output_lse)]
  rows.forEach((pieces, row) => {
    for (let head = 0; head < heads; head++) {
      const at = row * heads + head
      const parts = pieces.map(([source, from]) => {
        const lse = lseOf(valueOf(source, from, heads, head, 1))
        const out = Array.from({ length: dim }, (_, i) =>
          valueOf(source, from, heads * dim, head * dim + i, 0),
        )
        return { lse, out }
      })
      const all = [{ lse: oldLse[at]!, out: oldOut.slice(at * dim, (at + 1) * dim) }, ...parts]
      const present = all.filter(({ lse }) => lse !== -Infinity)
      if (pieces.length === 0 || present.length === 0) {
        assert.equal(newLse[at], oldLse[at])
        if (pieces.length > 0) assert.deepEqual(newOut.slice(at * dim, (at + 1) * dim), [0, 0, 0])
        continue
      }
      const lse = Math.log(present.reduce((total, part) => total + Math.exp(part.lse), 0))
      assert.ok(Math.abs(newLse[at]! - lse) < 1e-6, `lse ${newLse[at]} for ${lse}`)
      for (let i = 0; i < dim; i++) {
        const value = present.reduce((total, part) => total + Math.exp(part.lse - lse) * part.out[i]!, 0)
        assert.ok(Math.abs(newOut[at * dim + i]! - value) < 1e-5, `out ${newOut[at * dim + i]} for ${value}`)
      }
    }
  })
}

/** Two levels give what one level gives, and nothing crosses between rows twice. */
function checkMesh(seed: number, shape: readonly [number, number]): void {
  const mesh = init_device_mesh('cpu', shape, { mesh_dim_names: ['inter', 'intra'] })
  const { mine, expected, inputRows, outputRows } = castArguments(seed)
  const input = [makeTensor(me, [inputRows, 3], 'bfloat16'), makeTensor(me, [inputRows, 2, 2], 'float32', 1)]
  const output = [zeros([outputRows, 3], { dtype: 'bfloat16' }), zeros([outputRows, 2, 2])]
  const sentBefore = mesh.get_group('inter').bytesSent()
  group_cast({ ...mine, input, output, mesh, async_op: true }).wait_post_process()
  output.forEach((x, i) => {
    assertValues(x, expected(i === 0 ? 3 : 4, i), `two-level group_cast of plan ${seed}`)
  })
  const rowOf = (rank: number) => Math.floor(rank / shape[1])
  const crossing = mine.dst_indices.map((ranks, piece) =>
    ranks.some(rank => rowOf(rank) !== rowOf(me)) ? mine.input_split_sizes[piece]! : 0,
  )
  const bytesPerRow = 3 * 2 + 4 * 4
  assert.equal(mesh.get_group(0).bytesSent() - sentBefore, totalRows(crossing) * bytesPerRow)

  const { mine: reduce, rows, inputRows: count, plan } = reduceArguments(seed)
  for (const reduce_op of ['sum', 'avg'] as const) {
    const before = mesh.get_group(0).bytesSent()
    const results = [{ mesh }, { group }].map(where => {
      const out = makeTensor(me, [rows.length, 3], 'float32', 5)
      const work = group_reduce({
        ...reduce,
        ...where,
        input: makeTensor(me, [count, 3], 'float32'),
        output: out,
        reduce_op,
      })
      return flat(work.wait_post_process())
    })
    assert.deepEqual(results[0], results[1], `two-level group_reduce ${reduce_op} of plan ${seed}`)
    // One partial sum for each slot of another row's member of this column that this row has pieces for.
    const partials = plan.src_indices.map((sets, owner) => {
      if (rowOf(owner) === rowOf(me) || owner % shape[1] !== me % shape[1]) return 0
      return totalRows(
        sets.map((set, slot) =>
          set.some(rank => rowOf(rank) === rowOf(me)) ? plan.output_split_sizes[owner]![slot]! : 0,
        ),
      )
    })
    assert.equal(mesh.get_group(0).bytesSent() - before, totalRows(partials) * 3 * 4)
  }
  for (const dim of ['inter', 'intra']) destroy_process_group(mesh.get_group(dim))
}

function checkBadInput(): void {
  const good = {
    input: zeros(2, 3),
    output: zeros(2, 3),
    input_split_sizes: [2],
    output_split_sizes: [2],
    dst_indices: [[me]],
    src_index: [me],
  }
  const bad = (change: object) => caught(() => group_cast({ ...good, ...change } as typeof good)).code
  assert.equal(bad({ input: zeros(3, 3) }), 'ERR_SHAPE')
  assert.equal(bad({ output: zeros(2, 4) }), 'ERR_SHAPE')
  assert.equal(bad({ output: zeros([2, 3], { dtype: 'bfloat16' }) }), 'ERR_DTYPE')
  assert.equal(bad({ input_split_sizes: [1.5] }), 'ERR_ARGUMENT')
  assert.equal(bad({ input_split_sizes: ['2'] }), 'ERR_ARGUMENT')
  assert.equal(bad({ dst_indices: [[size]] }), 'ERR_INDEX')
  assert.equal(bad({ dst_indices: [[me, me]] }), 'ERR_ARGUMENT')
  assert.equal(bad({ dst_indices: [] }), 'ERR_ARGUMENT')
  assert.equal(bad({ src_index: [-1] }), 'ERR_ARGUMENT')
  assert.equal(bad({ src_index: [NaN] }), 'ERR_ARGUMENT')
  assert.equal(bad({ async: true }), 'ERR_ARGUMENT')
  assert.equal(bad({ async_op: 1 }), 'ERR_ARGUMENT')
  assert.equal(bad({ input_lse: zeros(2) }), 'ERR_ARGUMENT')
  assert.equal(bad({ cast_lse: true }), 'ERR_ARGUMENT')
  assert.equal(bad({ input: [zeros(2, 3)] }), 'ERR_ARGUMENT')
  const reduce = { ...good, dst_index: [me], src_indices: [[me]] } as Record<string, unknown>
  delete reduce.dst_indices
  delete reduce.src_index
  const badReduce = (change: object) =>
    caught(() => group_reduce({ ...reduce, ...change } as unknown as Parameters<typeof group_reduce>[0])).code
  if (size > 1) assert.equal(badReduce({ src_indices: [[1, 0]] }), 'ERR_ARGUMENT')
  assert.equal(badReduce({ src_indices: [[0, 0]] }), 'ERR_ARGUMENT')
  assert.equal(badReduce({ acc_reduce: false }), 'ERR_UNSUPPORTED')
  assert.equal(badReduce({ reduce_op: 'max' }), 'ERR_ARGUMENT')
  assert.equal(badReduce({ reduce_op: 'lse' }), 'ERR_ARGUMENT')
  assert.equal(badReduce({ comm_dtype: 'int32' }), 'ERR_DTYPE')
  assert.equal(badReduce({ reduce_op: 'lse', input_lse: zeros(2, 5), output_lse: zeros(2, 5) }), 'ERR_SHAPE')
  // Padding does not count.
  group_cast({
    ...good,
    input_split_sizes: [2, 0],
    output_split_sizes: [2, 0],
    dst_indices: [[me], [size]],
    src_index: [me, size],
  })
}

{
  using scope = new TensorScope()
  scope.run(() => {
    if (size === 4) checkExamples()
    for (let seed = 1; seed <= (size === 8 ? 4 : 10); seed++) {
      checkCasts(seed, (['float32', 'bfloat16', 'int64'] as const)[seed % 3]!)
      checkSums(seed, (['float32', 'bfloat16', 'float64'] as const)[seed % 3]!, 'sum')
      checkSums(seed, 'float32', 'sum', 'bfloat16')
      checkSums(seed, 'bfloat16', 'avg', 'float32')
      checkSums(seed, 'int32', 'sum')
      checkLse(seed)
      checkLse(seed, 'float64')
      if (size === 4) checkMesh(seed, [2, 2])
    }
    if (size === 8) checkMesh(100, [2, 4])
    if (size === 8) checkMesh(101, [4, 2])
    if (size === 3) checkMesh(102, [3, 1])
    checkBadInput()
    barrier()
  })
}
destroy_process_group()
