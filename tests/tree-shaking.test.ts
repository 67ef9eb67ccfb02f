import { build } from 'esbuild'
import { describe, expect, it } from 'vitest'
import { root } from './workspace.js'

async function bundle(source: string): Promise<string> {
  const result = await build({
    stdin: { contents: source, resolveDir: `${root}/packages/utils`, loader: 'ts' },
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
    logLevel: 'silent',
    conditions: ['@magi-attention/source'],
  })
  return result.outputFiles[0]!.text
}

describe('a bundle of @magi-attention/common', () => {
  it('is empty when nothing of it is used', async () => {
    expect(await bundle(`import '@magi-attention/common'`)).toBe('')
    expect(await bundle(`import * as common from '@magi-attention/common'`)).toBe('')
  })

  it('holds little more than the function that is used', async () => {
    const one = await bundle(`export { compute_pad_size } from '@magi-attention/common'`)
    const all = await bundle(`export * from '@magi-attention/common'`)
    expect(one.length).toBeLessThan(4000)
    expect(one.length).toBeLessThan(all.length / 8)
  })
})
