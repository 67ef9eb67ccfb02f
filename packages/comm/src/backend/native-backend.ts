import { messageBuffer } from '@magi-attention/tensor/native'
import type { Rendezvous } from '../environment.js'
import type { Backend, BackendName, BackendOptions, Channel, Job, Ticket } from './backend.js'
import { type CommLibrary, cString } from './comm-library.js'
import { checkCommStatus, rankBuffer } from './comm-status.js'

const tail = (): [Uint8Array, number] => [messageBuffer, messageBuffer.length]

function callWithHandle(operation: string, name: string, call: (handle: BigInt64Array) => number): bigint {
  const handle = new BigInt64Array(1)
  checkCommStatus(call(handle), operation, name)
  return handle[0]!
}

/**
 * A backend behind the functions of comm.h.
 * @param load gives its library, at first use
 */
export function nativeBackend(name: BackendName, load: () => CommLibrary): Backend {
  let library: CommLibrary | undefined
  return {
    name,
    join(rendezvous, options) {
      library ??= load()
      return joinJob(library, rendezvous, options)
    },
  }
}

function joinJob(
  library: CommLibrary,
  rendezvous: Rendezvous,
  { timeoutSeconds, bufferBytes }: BackendOptions,
): Job {
  const { rank, worldSize, masterAddr, masterPort, token } = rendezvous
  const job = callWithHandle('init_process_group', 'magi_comm_job_open', handle =>
    library.jobOpen(
      rank,
      worldSize,
      cString(masterAddr),
      masterPort,
      cString(token),
      bufferBytes,
      timeoutSeconds,
      handle,
      rankBuffer,
      ...tail(),
    ),
  )
  return {
    reserve(ranks) {
      return callWithHandle('new_group', 'magi_comm_group_reserve', handle =>
        library.groupReserve(job, Int32Array.from(ranks), ranks.length, handle, ...tail()),
      )
    },
    open(reservation, ranks) {
      const group = callWithHandle('new_group', 'magi_comm_group_open', handle =>
        library.groupOpen(job, reservation, Int32Array.from(ranks), ranks.length, handle, ...tail()),
      )
      return nativeChannel(library, group, ranks.length)
    },
    close() {
      checkCommStatus(library.jobClose(job, ...tail()), 'destroy_process_group', 'magi_comm_job_close')
    },
  }
}

function nativeChannel(library: CommLibrary, group: bigint, size: number): Channel {
  return {
    exchange(plan, { call, after, inBackground, timeoutSeconds, pair }): Ticket {
      const lane = pair ? pair[0] * size + pair[1] : -1
      const numbers = plan.encode()
      return callWithHandle(call, 'magi_comm_exchange', ticket =>
        library.exchange(
          group,
          lane,
          cString(call),
          numbers,
          numbers.length,
          timeoutSeconds,
          after ?? 0,
          Number(inBackground),
          ticket,
          ...tail(),
        ),
      )
    },
    reduce(plan, { call, after, inBackground }): Ticket {
      const numbers = plan.encode()
      return callWithHandle(call, 'magi_comm_reduce', ticket =>
        library.reduce(
          group,
          cString(call),
          numbers,
          numbers.length,
          after ?? 0,
          Number(inBackground),
          ticket,
          ...tail(),
        ),
      )
    },
    hasEnded: ticket => library.test(ticket) !== 0,
    wait(ticket, call) {
      checkCommStatus(library.wait(ticket, rankBuffer, ...tail()), call, 'magi_comm_wait')
    },
    bytesWritten: () => library.bytesWritten(group),
    close() {
      checkCommStatus(library.groupClose(group, ...tail()), 'destroy_process_group', 'magi_comm_group_close')
    },
  }
}
