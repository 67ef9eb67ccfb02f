/** Starts a worker thread that holds memory of the GPU when it ends. Prints how much is in use before, meanwhile and after. */
import { once } from 'node:events'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { cuda, zeros } from '@magi-attention/tensor'

if (isMainThread) {
  const before = memoryInUse()
  // tsx does not reach into worker threads by itself.
  const load = `import('tsx/esm/api').then(tsx => { tsx.register(); import('${import.meta.url}') })`
  const worker = new Worker(load, { eval: true })
  const [meanwhile] = await once(worker, 'message')
  worker.postMessage('end')
  await once(worker, 'exit')
  console.log(JSON.stringify({ before, meanwhile, after: memoryInUse() }))
} else {
  const kept = zeros([8 << 20], { device: 'cuda' })
  parentPort!.postMessage(memoryInUse())
  // A tensor that is still in use is not collected before its thread ends.
  parentPort!.once('message', () => kept.sum().item())
  // This block stays in the thread's own pool, for reuse.
  zeros([1 << 18], { device: 'cuda' }).dispose()
}

function memoryInUse(): number {
  zeros([1], { device: 'cuda' }).dispose()
  cuda.empty_cache() // of the GPUs that this thread has used
  return cuda.memory_reserved()
}
