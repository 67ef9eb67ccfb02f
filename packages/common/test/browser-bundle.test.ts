import { fileURLToPath } from 'node:url'
import { createContext, runInContext } from 'node:vm'
import { build, type Format } from 'esbuild'
import { describe, expect, it } from 'vitest'

const packageDirectory = fileURLToPath(new URL('..', import.meta.url))

function bundle(format: Format) {
  return build({
    absWorkingDir: packageDirectory,
    entryPoints: ['src/index.ts'],
    bundle: true,
    platform: 'browser',
    format,
    globalName: 'magi',
    write: false,
    metafile: true,
    logLevel: 'silent',
  })
}

describe('the package in a browser', () => {
  it('is made of its own sources alone', async () => {
    const { metafile, warnings } = await bundle('esm')
    const inputs = Object.entries(metafile.inputs)
    expect(inputs.length).toBeGreaterThan(10)
    expect(inputs.map(([path]) => path).filter(path => !/^src\/.*\.ts$/.test(path))).toEqual([])
    expect(inputs.flatMap(([, input]) => input.imports).filter(({ external }) => external)).toEqual([])
    expect(Object.values(metafile.outputs).flatMap(output => output.imports)).toEqual([])
    expect(warnings).toEqual([])
  })

  it('runs without the globals of Node.js', async () => {
    const { outputFiles } = await bundle('iife')
    // A new context has the globals of the language only: no process, Buffer, require, console or URL.
    const context = createContext({})
    runInContext(outputFiles[0]!.text, context)
    const run = (code: string): unknown => runInContext(code, context)

    expect(run('typeof process + typeof require + typeof Buffer')).toBe('undefined'.repeat(3))
    expect(run("magi.AttnMask.from_ranges([[0, 4]], [[0, 4]], 'causal').area")).toBe(10)
    expect(run("magi.draw_mask_text([[[0, 1], [0, 2], 'causal']], { glyphs: '0*' })")).toBe(
      'q\\k  0 1\n  0 |* *\n',
    )
    expect(run("magi.draw_mask_svg([[[0, 1], [0, 2], 'causal']])")).toMatch(/^<svg /)
    expect(run("try { magi.save_mask([], 'mask.svg') } catch (error) { error.code }")).toBe('ERR_UNSUPPORTED')
  })
})
