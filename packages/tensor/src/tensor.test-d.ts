import {
  apply_function,
  arange,
  bfloat16,
  type CustomFunction,
  cuda,
  type DType,
  nn,
  randn,
  type Tensor,
  type TensorTypedArray,
  tidy,
  zeros,
} from './index.js'

// Sizes go both ways, with options behind them.
export const made: Tensor[] = [
  zeros(2, 3),
  zeros([2, 3]),
  randn(2, 3, { dtype: bfloat16, requires_grad: true }),
  randn([2, 3], { device: 'cuda:0' }),
  arange(1, 2, { dtype: 'int32' }),
  new nn.Parameter(zeros(1)),
  nn.Parameter(zeros(1)),
]
// @ts-expect-error sizes are numbers
zeros('2')
// @ts-expect-error no such dtype
zeros([2], { dtype: 'float8' })
// @ts-expect-error no such option
zeros([2], { dtyp: 'float32' })
// @ts-expect-error options come last
zeros({ dtype: 'float32' }, 2)

// Results have precise types.
export const loss: number = tidy(() => zeros(1).item())
export const dtype: DType = zeros(1).dtype
export const values: TensorTypedArray = zeros(1).to_typed_array()
export const gradient: Tensor | null = zeros(1).grad
// @ts-expect-error shapes are read-only
zeros(1).shape[0] = 2

// The inputs of a custom function may be a tuple with an absent member.
declare const fn: CustomFunction<{ scale: number }, readonly [Tensor, Tensor | null]>
apply_function(fn, [zeros(1), null], { scale: 1 })
// @ts-expect-error one input is missing
apply_function(fn, [zeros(1)], { scale: 1 })
// @ts-expect-error the first input must be there
apply_function(fn, [null, null], { scale: 1 })
// @ts-expect-error the options are missing
apply_function(fn, [zeros(1), null])

// GPUs are named like torch's, or by number.
export const properties: cuda.DeviceProperties = cuda.get_device_properties(0)
export const moved: Tensor = zeros(1).to({ device: 'cuda:1', non_blocking: true })
export const inside: number = cuda.stream(new cuda.Stream({ device: 'cuda' }), () => 1)
// @ts-expect-error no such device
cuda.synchronize('gpu')
