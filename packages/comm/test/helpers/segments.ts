import { readdirSync, readFileSync } from 'node:fs'

/** Names of shared memory segments of any job of this machine; those that are just starting have one for a moment. */
export function listSegments(): string[] {
  return readdirSync('/dev/shm').filter(name => name.startsWith('magi-'))
}

/** Names that this process's own segments still have. */
export function namedSegments(): string[] {
  const maps = readFileSync('/proc/self/maps', 'utf8')
  const mapped = maps.split('\n').filter(line => line.includes('/dev/shm/magi-'))
  if (mapped.length === 0) throw new Error('expected to find the shared memory of the job')
  return mapped.filter(line => !line.endsWith('(deleted)'))
}
