import { formatReport, inspect } from './inspect.js'

const usage = `Usage: magi <command> [options]

Commands:
  inspect    what a bug report needs: versions, machine, GPUs, native libraries, settings

Options:
  --json     print JSON
  --help     print this text

Example:
  npx magi inspect --json
`

const options = new Set(['--json', '--help', '-h'])

/** Runs the command line and returns the exit code: 0, or 2 for a command line that makes no sense. */
export function main(args: readonly string[]): number {
  const words = args.filter(arg => !arg.startsWith('-'))
  const unknown =
    args.find(arg => arg.startsWith('-') && !options.has(arg)) ?? words.find(word => word !== 'inspect')
  if (unknown !== undefined || words.length > 1) {
    process.stderr.write(`magi: what is ${JSON.stringify(unknown ?? words[1])}?\n\n${usage}`)
    return 2
  }
  if (words.length === 0 || args.includes('--help') || args.includes('-h')) {
    process.stdout.write(usage)
    return 0
  }
  const report = inspect()
  process.stdout.write(
    `${args.includes('--json') ? JSON.stringify(report, null, 2) : formatReport(report)}\n`,
  )
  return 0
}
