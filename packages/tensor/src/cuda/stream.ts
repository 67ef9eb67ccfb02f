/// <reference lib="esnext.disposable" preserve="true" />
import { ArgumentError, DisposedError } from '@magi-attention/common'
import type { Device } from '../device.js'
import { messageBuffer } from '../native/status.js'
import { assertInteger } from '../shape.js'
import { cudaLibrary } from './cuda-library.js'
import { type CudaDeviceLike, parseCudaDevice } from './devices.js'
import { assertEvent, Event } from './event.js'
import { checkCuda } from './operations.js'
import { currentHandle, StreamHandle, setCurrentHandle } from './stream-handle.js'

export interface StreamOptions {
  /** Default: `'cuda:0'`. */
  readonly device?: CudaDeviceLike | undefined
  /** Lower numbers are served first; -1 is high, 0 the default. */
  readonly priority?: number | undefined
}

const message = [messageBuffer, messageBuffer.length] as const

/**
 * A queue of work on a GPU: `new Stream({ device, priority })`. Work on one stream runs in order; work on different streams
 * may run at the same time, and is ordered by `wait_stream` and events only. Memory is safe: it is reused when all
 * streams that worked on it are done with it.
 */
export class Stream implements Disposable {
  readonly #handle: StreamHandle

  /** @throws DeviceError without such a GPU */
  constructor(options: StreamOptions = {}) {
    this.#handle =
      options instanceof StreamHandle
        ? options
        : StreamHandle.create(
            parseCudaDevice(options.device),
            Math.max(-100, Math.min(assertInteger('priority', options.priority ?? 0), 100)),
          )
  }

  /** @internal */
  static _of(handle: StreamHandle): Stream {
    return new Stream(handle as StreamOptions)
  }

  /** @internal */
  get _handle(): StreamHandle {
    if (!this.#handle.isDestroyed) return this.#handle
    throw new DisposedError({
      argument: 'stream',
      expected: 'a stream that was not disposed',
      actual: `a stream of ${this.device}`,
    })
  }

  get device(): Device {
    return `cuda:${this.#handle.device}`
  }

  /** The `cudaStream_t`, for native code; 0 for the default stream. */
  get cuda_stream(): bigint {
    return this._handle.address
  }

  /** Makes later work on this stream wait for what has been enqueued on another, also of another device. */
  wait_stream(other: Stream): void {
    this._handle.waitFor(assertStream('other', other))
  }

  /** Makes later work on this stream wait for an event. One that was never recorded does not hold it up. */
  wait_event(event: Event): void {
    assertEvent('event', event).wait(this)
  }

  /** Records an event on this stream: `event`, or a new one. */
  record_event(event: Event = new Event()): Event {
    assertEvent('event', event).record(this)
    return event
  }

  /** Whether all enqueued work has run. */
  query(): boolean {
    const { device, address } = this._handle
    const out = new Int32Array(1)
    checkCuda(cudaLibrary().streamQuery(out, device, address, ...message), 'Stream.query', device)
    return out[0] === 1
  }

  /** Waits until all enqueued work has run. */
  synchronize(): void {
    this._handle.synchronize()
  }

  /** Waits for the stream and destroys it. The default stream stays. */
  dispose(): void {
    this.#handle.destroy()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

/** The handle of a live stream. */
export function assertStream(argument: string, value: unknown): StreamHandle {
  if (value instanceof Stream) return value._handle
  throw new ArgumentError({ argument, expected: 'a cuda.Stream', actual: value })
}

/** The stream that operations of a device are enqueued on; outside of `stream(…)` the default stream. */
export function current_stream(device?: CudaDeviceLike): Stream {
  return Stream._of(currentHandle(parseCudaDevice(device)))
}

/** The stream that is used when no other is chosen: CUDA's legacy default stream. */
export function default_stream(device?: CudaDeviceLike): Stream {
  return Stream._of(StreamHandle.default(parseCudaDevice(device)))
}

/** Makes a stream the current one of its device, until another is set. See `stream` for a part of a program. */
export function set_stream(stream: Stream): void {
  setCurrentHandle(assertStream('stream', stream))
}

/**
 * Runs `body` with a stream as the current one of its device, and returns its result.
 * @throws ArgumentError if `body` returns a promise: what ran after its first await would use another stream
 */
export function stream<T>(stream: Stream, body: () => T): T {
  const before = setCurrentHandle(assertStream('stream', stream))
  try {
    const result = body()
    if (result instanceof Promise) {
      throw new ArgumentError({ argument: 'body', expected: 'a function without await', actual: 'a promise' })
    }
    return result
  } finally {
    setCurrentHandle(before)
  }
}
