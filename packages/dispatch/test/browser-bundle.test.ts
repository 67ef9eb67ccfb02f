import { fileURLToPath } from 'node:url'
import { createContext, runInContext } from 'node:vm'
import { build } from 'esbuild'
import { expect, it } from 'vitest'

it('plans and simulates without Node.js, made of its own sources and those of common alone', async () => {
  const { metafile, outputFiles } = await build({
    absWorkingDir: fileURLToPath(new URL('../..', import.meta.url)),
    entryPoints: ['dispatch/src/index.ts'],
    conditions: ['@magi-attention/source'],
    bundle: true,
    platform: 'browser',
    format: 'iife',
    globalName: 'magi',
    write: false,
    metafile: true,
    logLevel: 'silent',
  })
  const foreign = Object.keys(metafile.inputs).filter(path => !/^(common|dispatch)\/src\/.*\.ts$/.test(path))
  expect(foreign).toEqual([])
  // A new context has the globals of the language only: no process, Buffer, require, console or URL.
  const context = createContext({})
  runInContext(outputFiles[0]!.text, context)
  const run = (code: string): unknown => runInContext(code, context)

  expect(run('typeof process + typeof require')).toBe('undefined'.repeat(2))
  const cells = run(`magi.simulate(
    { q_ranges: [[0, 64]], k_ranges: [[0, 64]], attn_mask_type: 'causal', total_seqlen_q: 64, total_seqlen_k: 64 },
    { cp_size: 4, chunk_size: 4, num_heads_q: 1, num_heads_kv: 1, head_dim: 8 },
  ).ranks.reduce((sum, rank) => sum + rank.cells, 0)`)
  expect(cells).toBe((64 * 65) / 2)
})
