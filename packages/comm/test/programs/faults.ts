/** What the other ranks see when one of them fails, in the way that the first argument names. */
import assert from 'node:assert/strict'
import {
  all_gather,
  all_reduce,
  barrier,
  broadcast,
  destroy_process_group,
  group_cast,
  init_process_group,
  new_group,
  recv,
  send,
} from '@magi-attention/comm'
import { report } from '@magi-attention/comm/testing'
import { full, ones, zeros } from '@magi-attention/tensor'
import { backend } from '../helpers/backend.js'
import { namedSegments } from '../helpers/segments.js'
import { caught } from '../helpers/values.js'

const [mode, timeout = '20'] = process.argv.slice(2)

function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
}

function describe(error: ReturnType<typeof caught>) {
  return { name: error.name, code: error.code, ranks: error.ranks, message: error.message }
}

function observe(body: () => unknown) {
  const started = performance.now()
  const error = caught(body)
  return { ...describe(error), seconds: (performance.now() - started) / 1000 }
}

const start = () => init_process_group({ backend, timeout: Number(timeout) })
if (mode === 'start') {
  report(observe(start))
  // The process is as good as before.
  assert.equal(ones(3).sum().item(), 3)
} else {
  const group = start()
  const me = group.rank()
  const isCulprit = me === Number(process.env.CULPRIT ?? 1)
  report(backend === 'shm' ? namedSegments() : [])
  all_reduce(ones(1000))

  if (mode === 'mismatch') {
    const errors = [
      observe(() => (isCulprit ? barrier() : all_reduce(ones(4)))),
      observe(() => all_reduce(ones(isCulprit ? 5 : 4))),
      observe(() => all_reduce(ones([4], { dtype: isCulprit ? 'float64' : 'float32' }))),
      observe(() => all_reduce(ones(4), { op: isCulprit ? 'max' : 'sum' })),
      observe(() => broadcast(ones(4), { src: isCulprit ? 1 : 0 })),
      observe(() => new_group(isCulprit ? [0, 1] : [0, 2])),
      ...[false, true].map(sanity_check =>
        observe(() =>
          group_cast({
            input: zeros(3, 2),
            output: zeros(3 * group.size(), 2),
            input_split_sizes: [1, 2],
            dst_indices: [
              [0, 1, 2],
              [0, 1, 2],
            ],
            // The same sum, cut otherwise.
            output_split_sizes: [...(isCulprit ? [2, 1] : [1, 2]), 1, 2, 1, 2],
            src_index: [0, 0, 1, 1, 2, 2],
            sanity_check,
          }),
        ),
      ),
    ]
    report(errors)
    // The group is not harmed.
    const x = full([100_000], me)
    all_reduce(x)
    assert.equal(x.narrow(0, 99_999, 1).item(), 3)
    if (me < 2) {
      const error = observe(() => (me === 0 ? send(ones(3), { dst: 1 }) : recv(ones(4), { src: 0 })))
      assert.equal(error.code, 'ERR_COMM')
    }
    barrier()
    destroy_process_group()
  } else {
    const third = mode === 'bystander' ? new_group([0, 2]) : null
    const isEarly = !isCulprit && mode !== 'midway'
    const pending = isEarly ? all_reduce(ones(5_000_000), { async_op: true }) : null
    if (isCulprit) {
      if (mode === 'kill') process.kill(process.pid, 'SIGKILL')
      if (mode === 'exit') process.exit(0)
      if (mode === 'throw') throw new Error('a program error on rank 1')
      if (mode === 'leave') destroy_process_group()
      if (mode === 'midway') {
        all_gather(zeros(3 * 40_000_000), zeros(40_000_000), { async_op: true })
        sleep(30)
        process.kill(process.pid, 'SIGKILL')
      }
      if (mode === 'bystander') process.kill(process.pid, 'SIGKILL')
      if (mode === 'late') {
        sleep(2500)
        report([observe(() => all_reduce(ones(5_000_000)))])
        destroy_process_group()
      }
    } else if (mode === 'bystander') {
      const x = ones(2)
      sleep(300)
      all_reduce(x, { group: third })
      assert.deepEqual(x.tolist(), [2, 2])
      report([observe(() => pending!.wait())])
      destroy_process_group()
    } else {
      const first =
        mode === 'midway'
          ? observe(() => all_gather(zeros(3 * 40_000_000), zeros(40_000_000)))
          : observe(() => pending!.wait())
      report([first, observe(() => barrier())])
      assert.equal(ones(3).sum().item(), 3)
      destroy_process_group()
      // A new job may begin in the same process.
      init_process_group({ rank: 0, world_size: 1 })
      const x = ones(2)
      all_reduce(x)
      assert.deepEqual(x.tolist(), [1, 1])
      destroy_process_group()
    }
  }
}
