/// <reference lib="esnext.disposable" preserve="true" />
import { ArgumentError, DisposedError } from '@magi-attention/common'
import { messageBuffer } from '../native/status.js'
import { cudaLibrary } from './cuda-library.js'
import { checkCuda } from './operations.js'
import { assertStream, current_stream, type Stream } from './stream.js'
import { createEvent } from './stream-handle.js'

export interface EventOptions {
  /** Whether `elapsed_time` may ask for its time. Default false. */
  readonly enable_timing?: boolean | undefined
}

const message = [messageBuffer, messageBuffer.length] as const

/** A mark in a stream, to wait for or to measure time with. It belongs to the device of the stream it is recorded on first. */
export class Event implements Disposable {
  readonly #hasTiming: boolean
  #address = 0n
  #device = -1
  #isDisposed = false

  constructor(options: EventOptions = {}) {
    this.#hasTiming = options.enable_timing ?? false
  }

  /** Marks where a stream stands now. Default: the current stream of `'cuda:0'`. */
  record(stream: Stream = current_stream()): void {
    const { device, address } = assertStream('stream', stream)
    this.#assertLive()
    if (this.#address === 0n) {
      this.#device = device
      this.#address = createEvent(device, this.#hasTiming)
      collected.register(this, { device, address: this.#address }, this)
    }
    if (this.#device !== device) throw this.#unfit(`a stream of cuda:${this.#device}`, `cuda:${device}`)
    checkCuda(cudaLibrary().eventRecord(this.#address, device, address, ...message), 'Event.record', device)
  }

  /** Makes later work on a stream wait for this event. Default: the current stream of `'cuda:0'`. */
  wait(stream: Stream = current_stream()): void {
    const { device, address } = assertStream('stream', stream)
    this.#assertLive()
    if (this.#address === 0n) return
    checkCuda(cudaLibrary().streamWaitEvent(this.#address, device, address, ...message), 'Event.wait', device)
  }

  /** Whether it has happened; true for one that was never recorded. */
  query(): boolean {
    this.#assertLive()
    if (this.#address === 0n) return true
    const out = new Int32Array(1)
    const status = cudaLibrary().eventQuery(this.#address, out, this.#device, ...message)
    checkCuda(status, 'Event.query', this.#device)
    return out[0] === 1
  }

  /** Waits until it has happened. */
  synchronize(): void {
    this.#assertLive()
    if (this.#address === 0n) return
    const status = cudaLibrary().eventSynchronize(this.#address, this.#device, ...message)
    checkCuda(status, 'Event.synchronize', this.#device)
  }

  /**
   * Milliseconds from this event to a later one, both with `enable_timing`. Waits for both.
   * @throws ArgumentError if one was not recorded, or has no timing, or they belong to different devices
   */
  elapsed_time(end: Event): number {
    for (const event of [this, assertEvent('end', end)]) {
      event.#assertLive()
      if (event.#address === 0n) throw this.#unfit('two recorded events', 'one that was not recorded')
      if (!event.#hasTiming) throw this.#unfit('events with { enable_timing: true }', 'one without')
      event.synchronize()
    }
    if (end.#device !== this.#device)
      throw this.#unfit(`an event of cuda:${this.#device}`, `cuda:${end.#device}`)
    const out = new Float64Array(1)
    const status = cudaLibrary().eventElapsed(this.#address, end.#address, out, this.#device, ...message)
    checkCuda(status, 'Event.elapsed_time', this.#device)
    return out[0]!
  }

  dispose(): void {
    this.#isDisposed = true
    if (this.#address === 0n) return
    collected.unregister(this)
    destroyEvent({ device: this.#device, address: this.#address })
    this.#address = 0n
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  #assertLive(): void {
    if (!this.#isDisposed) return
    const expected = 'an event that was not disposed'
    throw new DisposedError({ argument: 'event', expected, actual: 'a disposed one' })
  }

  #unfit(expected: string, actual: string): ArgumentError {
    return new ArgumentError({ argument: 'event', expected, actual })
  }
}

export function assertEvent(argument: string, value: unknown): Event {
  if (value instanceof Event) return value
  throw new ArgumentError({ argument, expected: 'a cuda.Event', actual: value })
}

function destroyEvent({ device, address }: { device: number; address: bigint }): void {
  cudaLibrary().eventDestroy(address, device, ...message)
}

/** The net under events that nobody disposed of. */
const collected = new FinalizationRegistry<{ device: number; address: bigint }>(destroyEvent)
