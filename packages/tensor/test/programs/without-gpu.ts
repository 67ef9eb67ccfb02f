/** Tries what needs a GPU, on a machine without one, and prints what came of it. */
import { MagiError } from '@magi-attention/common'
import { cuda, from_typed_array, memory, randn, zeros } from '@magi-attention/tensor'

const x = zeros(2)
const uses: Record<string, () => unknown> = {
  zeros: () => zeros([2], { device: 'cuda' }),
  to: () => x.to('cuda'),
  randn: () => randn([2], { device: 'cuda:0' }),
  Stream: () => new cuda.Stream(),
  synchronize: () => cuda.synchronize(),
  pin_memory: () => x.pin_memory(),
  from_typed_array: () => from_typed_array(Float32Array.of(1), [1], { device: 'cuda' }),
}

const errors = Object.entries(uses).map(([name, use]) => {
  try {
    use()
    return { name, code: 'none' }
  } catch (error) {
    if (!MagiError.isInstance(error)) throw error
    return { name, code: error.code, hasHint: (error.hint ?? '').length > 0 }
  }
})
cuda.empty_cache()
console.log(
  JSON.stringify({
    isAvailable: cuda.is_available(),
    deviceCount: cuda.device_count(),
    errors,
    liveBytes: memory().bytes,
  }),
)
