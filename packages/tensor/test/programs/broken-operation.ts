/** Makes the GPU read where there is no memory, and prints the error that comes of it. */
import { MagiError } from '@magi-attention/common'
import { cuda, full, randn } from '@magi-attention/tensor'
import { backendOf } from '../../src/backend.js'

try {
  const x = randn([1000], { device: 'cuda' })
  cuda.synchronize()
  const y = x.mul(2)
  // The operation trusts its caller to have checked the rows.
  const rows = full([1000], 2 ** 40, { dtype: 'int64', device: 'cuda' })
  const out = x.mul(3)
  backendOf('cuda:0').indexSelect(out, x, rows, { outer: 1, inRows: 1000, outRows: 1000, inner: 1 })
  console.log(JSON.stringify({ code: 'none', message: String(out.add(y).sum().item()) }))
} catch (error) {
  if (!MagiError.isInstance(error)) throw error
  console.log(JSON.stringify({ code: error.code, message: error.message }))
}
