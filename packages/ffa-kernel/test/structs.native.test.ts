import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import {
  BackwardArgsStruct,
  ForwardArgsStruct,
  PlanArgsStruct,
  PlanStruct,
  TileSizesStruct,
} from '../src/native/structs.js'

const folder = mkdtempSync(join(tmpdir(), 'magi-ffa-structs-'))
const includes = ['../native/include', '../../tensor/native/include'].map(path =>
  join(import.meta.dirname, path),
)

/** Where the C compiler puts the members of a struct of ffa.h. */
function offsetsInHeader(struct: string, members: readonly string[]): Record<string, number> {
  const source = join(folder, `${struct}.c`)
  const program = join(folder, struct)
  const lines = members.map(name => `printf("%zu\\n", offsetof(${struct}, ${name}));`)
  const code = [
    '#include <magi/ffa.h>',
    '#include <stddef.h>',
    '#include <stdio.h>',
    'int main(void) {',
    ...lines,
  ]
  writeFileSync(source, [...code, 'return 0; }', ''].join('\n'))
  execFileSync('cc', [...includes.map(path => `-I${path}`), '-o', program, source])
  const offsets = execFileSync(program, { encoding: 'utf8' }).trim().split('\n').map(Number)
  return Object.fromEntries(members.map((name, i) => [name, offsets[i]!]))
}

describe('structs', () => {
  afterAll(() => {
    rmSync(folder, { recursive: true })
  })

  // The library tells the sizes only, which two members that changed places leave as they are.
  it.each([
    ['MagiFfaPlan', PlanStruct],
    ['MagiFfaForwardArgs', ForwardArgsStruct],
    ['MagiFfaBackwardArgs', BackwardArgsStruct],
    ['MagiFfaTileSizes', TileSizesStruct],
    ['MagiFfaPlanArgs', PlanArgsStruct],
  ] as const)('%s has its members where ffa.h has them', (name, struct) => {
    expect(struct.offsets).toEqual(offsetsInHeader(name, Object.keys(struct.offsets)))
  })
})
