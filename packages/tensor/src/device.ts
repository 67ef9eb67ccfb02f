import { DeviceError } from '@magi-attention/common'

/** Where a tensor lies: `'cpu'`, or `'cuda:0'` for the first GPU. */
export type Device = 'cpu' | `cuda:${number}`

/**
 * Reads a device name. `'cuda'` is `'cuda:0'`.
 * @throws DeviceError for another name
 */
export function parseDevice(argument: string, value: unknown): Device {
  if (value === 'cpu') return value
  if (value === 'cuda') return 'cuda:0'
  if (typeof value === 'string' && /^cuda:(0|[1-9]\d{0,3})$/.test(value)) return value as Device
  throw new DeviceError({ argument, expected: "'cpu' or 'cuda:N'", actual: value })
}
