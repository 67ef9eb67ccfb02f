import { launch } from './launch.js'
import { parseLaunchOptions, UsageError, usage } from './launch-options.js'

/** Runs the command line of `magirun`. @returns the exit code; 2 for a command line that makes no sense */
export async function main(args: readonly string[]): Promise<number> {
  try {
    const options = parseLaunchOptions(args)
    if (options !== null) return await launch(options)
    process.stdout.write(usage)
    return 0
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    process.stderr.write(`magirun: ${error.message}\n\n${usage}`)
    return 2
  }
}
