import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { findPackageDir } from '@magi-attention/tensor/native'
import { transformSync } from 'esbuild'
import { expect, it } from 'vitest'

const packageDir = findPackageDir(import.meta.dirname)

it('the examples of the README run', () => {
  const text = readFileSync(join(packageDir, 'README.md'), 'utf8')
  const examples = [...text.matchAll(/```ts\n(.*?)```/gs)].map(match => match[1]!)
  const outputs = examples.map(example => {
    const { code } = transformSync(example, { loader: 'ts', target: 'node20' })
    const args = ['--conditions=@magi-attention/source', '--import', 'tsx', '--input-type=module', '-e', code]
    const child = spawnSync(process.execPath, args, { cwd: packageDir, encoding: 'utf8' })
    expect(child.stderr).toBe('')
    return child.stdout.trim()
  })
  expect(outputs).toHaveLength(3)
  expect(outputs[0]).toMatch(/^-?[\d.]+ Tensor\(bfloat16, cpu\)\[16, 64\]/)
  expect(outputs[1]).toMatch(/^-?[\d.]+$/)
  expect(outputs[2]).toBe('[ 2, 4, 6 ]')
})
