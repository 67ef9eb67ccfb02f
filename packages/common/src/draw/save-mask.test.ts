import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { UnsupportedError } from '../errors/index.js'
import type { DrawableMask } from './mask-shapes.js'
import { draw_mask_svg } from './mask-svg.js'
import { draw_mask_text } from './mask-text.js'
import { save_mask } from './save-mask.js'

const mask: DrawableMask = [[[0, 3], [0, 3], 'causal']]

afterEach(() => {
  vi.unstubAllGlobals()
})

describe('save_mask', () => {
  it('writes what its ending says', () => {
    const directory = mkdtempSync(join(tmpdir(), 'save-mask-'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    save_mask(mask, join(directory, 'mask.svg'), { title: 'A mask', theme: 'dark' })
    save_mask(mask, join(directory, 'mask.TXT'), { title: 'A mask' })
    expect(readFileSync(join(directory, 'mask.svg'), 'utf8')).toBe(
      draw_mask_svg(mask, { title: 'A mask', theme: 'dark' }),
    )
    expect(readFileSync(join(directory, 'mask.TXT'), 'utf8')).toBe(draw_mask_text(mask, { title: 'A mask' }))
  })

  it('refuses other endings', () => {
    for (const path of ['mask.png', 'mask', 'svg', 'dir.svg/mask']) {
      expect(() => save_mask(mask, path)).toThrow(UnsupportedError)
    }
    expect(() => save_mask(mask, 4 as never)).toThrow(/^path: /)
  })

  it('says so where there is no file system', () => {
    vi.stubGlobal('process', undefined)
    expect(() => save_mask(mask, 'mask.svg')).toThrow(UnsupportedError)
    expect(() => save_mask(mask, 'mask.svg')).toThrow(/draw_mask_svg/)
  })
})
