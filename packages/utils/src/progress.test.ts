import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Progress, type ProgressStream } from './progress.js'

function terminal(isTTY: boolean): ProgressStream & { written: string[] } {
  const written: string[] = []
  return { isTTY, columns: 30, written, write: (text: string) => written.push(text) }
}

const clear = '\r\u001b[2K'

describe('Progress', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it('stays silent for work that takes less than a second', () => {
    const stream = terminal(true)
    const progress = new Progress('Working', { stream })
    vi.advanceTimersByTime(900)
    progress.update()
    progress.stop()
    expect(stream.written).toEqual([])
  })

  it('draws while the program waits, and removes its line', () => {
    const stream = terminal(true)
    const progress = new Progress('Working', { stream })
    vi.advanceTimersByTime(2050)
    expect(stream.written.at(-1)).toBe(`${clear}Working (2 s)`)
    progress.stop()
    progress.stop()
    expect(stream.written.filter(text => text === clear)).toHaveLength(1)
    const count = stream.written.length
    vi.advanceTimersByTime(5000)
    progress.update()
    expect(stream.written).toHaveLength(count)
  })

  it('shows the share that is done, within the width of the terminal', () => {
    const stream = terminal(true)
    const progress = new Progress('Checking a great many rows', { stream, total: 8, delayMs: 0 })
    progress.update(3)
    expect(stream.written.at(-1)).toBe(`${clear}Checking a great many rows 37`)
    progress.stop()
  })

  it('does not redraw at every step', () => {
    const stream = terminal(true)
    const progress = new Progress('Working', { stream, delayMs: 0 })
    for (let step = 0; step < 1000; step++) progress.update()
    expect(stream.written).toHaveLength(1)
    progress.stop()
  })

  it('writes nothing to a pipe or a file', () => {
    const stream = terminal(false)
    const progress = new Progress('Working', { stream, delayMs: 0 })
    vi.advanceTimersByTime(5000)
    progress.update()
    progress.stop()
    expect(stream.written).toEqual([])
  })
})
