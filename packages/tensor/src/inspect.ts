import { readFloat32, readTypedArray } from './data.js'
import type { Tensor } from './tensor.js'

const maxShown = 6

/** `Tensor(bfloat16, cpu)[4096, 16, 128] 0.5, -1.25, …` */
export function inspectTensor(tensor: Tensor): string {
  const title = String(tensor)
  if (tensor.is_disposed || tensor.numel() === 0) return title
  const count = Math.min(maxShown, tensor.numel())
  using head = tensor._alias([tensor.numel()])
  using shown = head.narrow(0, 0, count)
  const isLow = tensor.dtype === 'bfloat16' || tensor.dtype === 'float16'
  const values = Array.from<number | bigint>(isLow ? readFloat32(shown) : readTypedArray(shown))
  const texts = values.map(value => String(typeof value === 'bigint' ? value : Number(value.toPrecision(5))))
  return `${title} ${texts.join(', ')}${count < tensor.numel() ? ', …' : ''}`
}
