/** What {@link Progress} writes to: `process.stderr`, or anything alike. */
export interface ProgressStream {
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
  write(text: string): unknown
}

export interface ProgressOptions {
  /** Number of steps, for a percentage. Default: unknown, and only the time is shown. */
  readonly total?: number
  /** Where to draw. Default: `process.stderr`, so that results on stdout stay clean. */
  readonly stream?: ProgressStream
  /** Nothing is drawn before this many milliseconds have passed. Default: 1000. */
  readonly delayMs?: number
}

const redrawMs = 100

/**
 * One line on a terminal about work that takes longer than a second; silent in a pipe, a file or a CI log.
 *
 * The line is drawn by {@link Progress.update}, so it also moves during work that never yields to the event
 * loop, and by a timer while the program waits.
 *
 * @example
 * const progress = new Progress('Checking rows', { total: rows.length })
 * for (const row of rows) {
 *   check(row)
 *   progress.update()
 * }
 * progress.stop()
 */
export class Progress {
  readonly #title: string
  readonly #total: number | undefined
  readonly #stream: ProgressStream
  readonly #delayMs: number
  readonly #startedMs = performance.now()
  readonly #timer: NodeJS.Timeout | undefined
  #done = 0
  #drawnMs = Number.NEGATIVE_INFINITY
  #stopped = false

  constructor(title: string, options: ProgressOptions = {}) {
    this.#title = title
    this.#total = options.total
    this.#stream = options.stream ?? process.stderr
    this.#delayMs = options.delayMs ?? 1000
    if (this.#stream.isTTY === true) {
      this.#timer = setInterval(() => this.#draw(), redrawMs)
      this.#timer.unref()
    }
  }

  /** Counts `steps` more steps as done. */
  update(steps = 1): void {
    this.#done += steps
    this.#draw()
  }

  /** Removes the line. Calls after the first do nothing. */
  stop(): void {
    clearInterval(this.#timer)
    if (!this.#stopped && this.#drawnMs > 0) this.#stream.write('\r\u001b[2K')
    this.#stopped = true
  }

  #draw(): void {
    const nowMs = performance.now()
    const elapsedMs = nowMs - this.#startedMs
    const isDue = elapsedMs >= this.#delayMs && nowMs - this.#drawnMs >= redrawMs
    if (this.#stopped || !isDue || this.#stream.isTTY !== true) return
    this.#drawnMs = nowMs
    const share = this.#total === undefined ? '' : ` ${Math.floor((100 * this.#done) / this.#total)} %`
    const line = `${this.#title}${share} (${Math.floor(elapsedMs / 1000)} s)`
    this.#stream.write(`\r\u001b[2K${line.slice(0, (this.#stream.columns ?? 80) - 1)}`)
  }
}
