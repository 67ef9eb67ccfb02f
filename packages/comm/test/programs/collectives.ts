/** All collectives against what each rank works out by itself, in all dtypes and over several buffer sizes. */
import assert from 'node:assert/strict'
import {
  all_gather,
  all_gather_v,
  all_reduce,
  all_to_all_v,
  barrier,
  broadcast,
  destroy_process_group,
  get_rank,
  get_world_size,
  init_process_group,
  new_group,
  type ProcessGroup,
  recv,
  reduce_scatter,
  reduce_scatter_v,
  scatter_v,
  send,
} from '@magi-attention/comm'
import { arange, type DType, full, memory, TensorScope, zeros } from '@magi-attention/tensor'
import { backend } from '../helpers/backend.js'
import { assertValues, makeTensor, valuesOf } from '../helpers/values.js'

const dtypes: DType[] = ['float32', 'bfloat16', 'float16', 'float64', 'int32', 'int64']
const isFloat = (dtype: DType) => !dtype.startsWith('int')
const world = init_process_group({ backend, timeout: 60, shm_buffer_bytes: 2 * 65_536 })
const add = (lists: readonly number[][]) =>
  lists[0]!.map((_, i) => lists.reduce((sum, list) => sum + list[i]!, 0))

function checkGroup(group: ProcessGroup, dtype: DType, columns: number): void {
  const me = group.rank()
  const size = group.size()
  const members = [...group.ranks]
  const options = { group }

  const spread = makeTensor(members[me]!, [3, columns], dtype)
  broadcast(spread, { group, src: members.at(-1)! })
  assertValues(spread, valuesOf(members.at(-1)!, 3 * columns), `broadcast ${dtype}`)

  for (const op of ['sum', 'max', 'avg'] as const) {
    if (op === 'avg' && !isFloat(dtype)) continue
    const x = makeTensor(members[me]!, [5, columns], dtype)
    all_reduce(x, { group, op })
    const lists = members.map(member => valuesOf(member, 5 * columns))
    const expected =
      op === 'max' ? lists[0]!.map((_, i) => Math.max(...lists.map(list => list[i]!))) : add(lists)
    if (op !== 'avg') assertValues(x, expected, `all_reduce ${op} ${dtype}`)
    else {
      const mean = makeTensor(0, [5, columns], 'float64')
      mean.copy_(Float64Array.from(expected))
      // float32 divides, and the result is rounded to the dtype once.
      const rounded = dtype === 'float64' ? mean.div(size) : mean.to('float32').div(size).to(dtype)
      assertValues(
        x,
        Array.from(rounded.to('float64').to_typed_array() as Float64Array),
        `all_reduce avg ${dtype}`,
      )
    }
  }

  const gathered = zeros(size * 2, columns, { dtype })
  all_gather(gathered, makeTensor(members[me]!, [2, columns], dtype), options)
  assertValues(
    gathered,
    members.flatMap(member => valuesOf(member, 2 * columns)),
    `all_gather ${dtype}`,
  )

  // Uneven, with an empty part.
  const splits = members.map((_, i) => (i * 2) % 5)
  const total = splits.reduce((sum, rows) => sum + rows, 0)
  const uneven = zeros(total, columns, { dtype })
  all_gather_v(uneven, makeTensor(members[me]!, [splits[me]!, columns], dtype), {
    group,
    split_sizes: splits,
  })
  assertValues(
    uneven,
    members.flatMap((member, i) => valuesOf(member, splits[i]! * columns)),
    `all_gather_v ${dtype}`,
  )

  const part = zeros(2, columns, { dtype })
  reduce_scatter(part, makeTensor(members[me]!, [2 * size, columns], dtype), options)
  const all = add(members.map(member => valuesOf(member, 2 * size * columns)))
  assertValues(part, all.slice(me * 2 * columns, (me + 1) * 2 * columns), `reduce_scatter ${dtype}`)

  const offset = splits.slice(0, me).reduce((sum, rows) => sum + rows, 0)
  const unevenPart = zeros(splits[me]!, columns, { dtype })
  reduce_scatter_v(unevenPart, makeTensor(members[me]!, [total, columns], dtype), {
    group,
    split_sizes: splits,
    op: 'max',
  })
  const lists = members.map(member => valuesOf(member, total * columns))
  const highest = Array.from({ length: total * columns }, (_, i) => Math.max(...lists.map(list => list[i]!)))
  assertValues(
    unevenPart,
    highest.slice(offset * columns, (offset + splits[me]!) * columns),
    `reduce_scatter_v ${dtype}`,
  )

  const handed = zeros(splits[me]!, columns, { dtype })
  const source = me === 0 ? makeTensor(7, [total, columns], dtype) : null
  scatter_v(handed, source, { group, split_sizes: splits, src: members[0]! })
  assertValues(
    handed,
    valuesOf(7, total * columns).slice(offset * columns, (offset + splits[me]!) * columns),
    `scatter_v ${dtype}`,
  )

  const rows = (from: number, to: number) => (from * 3 + to) % 4
  const input_split_sizes = members.map((_, to) => rows(me, to))
  const output_split_sizes = members.map((_, from) => rows(from, me))
  const sum = (sizes: readonly number[]) => sizes.reduce((a, b) => a + b, 0)
  const exchanged = zeros(sum(output_split_sizes), columns, { dtype })
  all_to_all_v(exchanged, makeTensor(members[me]!, [sum(input_split_sizes), columns], dtype), {
    group,
    input_split_sizes,
    output_split_sizes,
  })
  const expected = members.flatMap((member, from) => {
    const before = sum(members.slice(0, me).map((_, to) => rows(from, to)))
    return valuesOf(member, 100 * columns).slice(before * columns, (before + rows(from, me)) * columns)
  })
  assertValues(exchanged, expected, `all_to_all_v ${dtype}`)

  if (size > 1) {
    const right = members[(me + 1) % size]!
    const left = members[(me + size - 1) % size]!
    // All send first, more than a buffer holds: only asynchronous messages get past that.
    const first = send(makeTensor(members[me]!, [40, columns], dtype, 1), {
      group,
      dst: right,
      async_op: true,
    })
    const second = send(makeTensor(members[me]!, [3, columns], dtype, 2), {
      group,
      dst: right,
      async_op: true,
    })
    const received = [zeros(40, columns, { dtype }), zeros(3, columns, { dtype })] as const
    recv(received[0], { group, src: left })
    recv(received[1], { group, src: left })
    first.wait()
    second.wait()
    assertValues(received[0], valuesOf(left, 40 * columns, 1), `first message ${dtype}`)
    assertValues(received[1], valuesOf(left, 3 * columns, 2), `second message ${dtype}`)
  }
  barrier(options)
}

function checkAll(): void {
  using scope = new TensorScope()
  scope.run(() => {
    for (const dtype of dtypes) checkGroup(world, dtype, 3)
    // Larger than all buffers together.
    checkGroup(world, 'float32', 4001)
    const odd = new_group(world.ranks.filter(rank => rank % 2 === 1 || world.size() === 1))
    const even = new_group(world.ranks.filter(rank => rank % 2 === 0))
    const own = (world.rank() % 2 === 1 ? odd : even)!
    assert.equal(get_rank(own), own.ranks.indexOf(get_rank()))
    assert.equal(get_world_size(own), own.ranks.length)
    checkGroup(own, 'bfloat16', 5)
  })
}

/** In place, and many at once, waited for in another order. */
function checkAsync(): void {
  using scope = new TensorScope()
  scope.run(() => {
    const size = world.size()
    const tensors = Array.from({ length: 12 }, (_, i) => full([1000 + i * 4001], world.rank() + i))
    const works = tensors.map(x => all_reduce(x, { async_op: true }))
    const own = zeros(size * 3, 2)
    own.narrow(0, world.rank() * 3, 3).copy_(makeTensor(world.rank(), [3, 2], 'float32'))
    const gather = all_gather(own, own.narrow(0, world.rank() * 3, 3), { async_op: true })
    gather.wait()
    assertValues(
      own,
      world.ranks.flatMap(rank => valuesOf(rank, 6)),
      'all_gather in place',
    )
    for (const i of [11, 3, 0, 7, 1, 2, 4, 5, 6, 8, 9, 10]) {
      works[i]!.wait()
      const expected = (size * (size - 1)) / 2 + size * i
      assertValues(tensors[i]!, new Array(1000 + i * 4001).fill(expected), `asynchronous all_reduce ${i}`)
    }
    // Nobody waits: it must come to its end in the background, while this thread is busy.
    const overlapped = full([3_000_000], 1)
    const background = all_reduce(overlapped, { async_op: true })
    const deadline = performance.now() + 60_000
    while (!background.is_completed())
      assert.ok(performance.now() < deadline, 'no progress in the background')
    assert.equal(overlapped.narrow(0, 2_999_999, 1).item(), size)
    // More than the caches hold, at addresses that are not aligned.
    const length = Math.floor(5_000_000 / size) + 3
    const large = zeros(length * size)
    all_gather(large, arange(0, length, { dtype: 'float32' }).add(world.rank()))
    for (let rank = 0; rank < size; rank++) {
      const expected = arange(0, length, { dtype: 'float32' }).add(rank)
      assert.ok(large.narrow(0, rank * length, length).equal(expected), `large all_gather from ${rank}`)
    }
    // Its handles may go at once: the work keeps the memory.
    const dropped = full([50_000], 1)
    const work = all_reduce(dropped, { async_op: true })
    const view = dropped.narrow(0, 0, 1)
    dropped.dispose()
    work.wait()
    work.wait()
    assert.equal(work.is_completed(), true)
    assertValues(view, [size], 'all_reduce of a disposed tensor')
    // Nobody waits for this one.
    all_reduce(full([10_000], 1), { async_op: true })
  })
  barrier()
}

const before = memory()
checkAll()
checkAsync()
barrier()
assert.deepEqual({ ...memory(), pooled_bytes: 0 }, { ...before, pooled_bytes: 0 }, 'nothing leaks')
destroy_process_group()
