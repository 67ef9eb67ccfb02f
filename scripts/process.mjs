/** Child processes: shown as they run, or quiet with progress. */
import { spawn } from 'node:child_process'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')

/** A failure whose message tells the whole story: it is printed without a stack. */
export class CommandError extends Error {
  constructor(message, exitCode = 1) {
    super(message)
    this.exitCode = exitCode
  }
}

/** No tool that runs here reports home. */
const environment = { ...process.env, TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1' }

/** Runs a command on this terminal and resolves to its exit code. */
export function run(command, args, options = {}) {
  return start(command, args, { stdio: 'inherit', ...options }).exit
}

/** Runs a command on this terminal. Throws when it fails. */
export async function runOrThrow(command, args, options = {}) {
  const code = await run(command, args, options)
  if (code !== 0) throw new CommandError('', code)
}

/**
 * Runs a command without showing its output, unless it fails. What takes longer than a second is announced: on
 * a terminal as a line with the time so far and the command's latest output, elsewhere as one plain line.
 */
export async function step(title, command, args, options = {}) {
  const { child, exit } = start(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
  let output = ''
  const collect = chunk => {
    output += chunk
  }
  child.stdout?.setEncoding('utf8').on('data', collect)
  child.stderr?.setEncoding('utf8').on('data', collect)
  const progress = showProgress(title, () => output)
  const code = await exit.finally(() => progress.stop())
  if (code !== 0) throw new CommandError(`${output.trimEnd()}\n\n${title}: failed (exit code ${code}).`, code)
}

/** A JavaScript tool of node_modules, to be started by this same Node. */
export function tool(path) {
  return join(root, 'node_modules', path)
}

function start(command, args, options) {
  const child = spawn(command, args, { cwd: root, env: environment, ...options })
  const exit = new Promise((resolveExit, reject) => {
    child.once('error', error => {
      reject(error.code === 'ENOENT' ? new CommandError(`${command} was not found on the PATH.`) : error)
    })
    child.once('close', (code, signal) => resolveExit(code ?? (signal === 'SIGINT' ? 130 : 1)))
  })
  return { child, exit }
}

function showProgress(title, output) {
  const started = Date.now()
  const terminal = process.stderr.isTTY === true
  const draw = () => {
    const seconds = Math.round((Date.now() - started) / 1000)
    if (!terminal) return process.stderr.write(`${title} …\n`)
    const latest = output().trimEnd().split('\n').at(-1)?.trim() ?? ''
    const line = `${title} (${seconds} s) ${latest}`.slice(0, (process.stderr.columns ?? 80) - 1)
    return process.stderr.write(`\r\u001b[2K${line}`)
  }
  let repeat
  const first = setTimeout(() => {
    draw()
    if (terminal) repeat = setInterval(draw, 250)
  }, 1000)
  return {
    stop() {
      clearTimeout(first)
      clearInterval(repeat)
      if (terminal && repeat !== undefined) process.stderr.write('\r\u001b[2K')
    },
  }
}
