import { ArgumentError, UnsupportedError } from '../errors/index.js'
import type { DrawableMask } from './mask-shapes.js'
import { type DrawMaskSvgOptions, draw_mask_svg } from './mask-svg.js'
import { type DrawMaskTextOptions, draw_mask_text } from './mask-text.js'

/**
 * Writes a drawing of a mask to a file, `.svg` or `.txt` by its ending: what {@link draw_mask_svg} or
 * {@link draw_mask_text} returns.
 *
 * The file system is asked of the running process, without an import, so that this package stays loadable in
 * a browser. There, and in a Node.js before 20.16, use the two functions above and store the text they
 * return.
 *
 * @throws {@link UnsupportedError} for another ending, or where there is no file system.
 * @throws {@link ArgumentError} for something that is not a mask, or a path that is not a string.
 */
export function save_mask(
  mask: DrawableMask,
  path: string,
  options: DrawMaskTextOptions & DrawMaskSvgOptions = {},
): void {
  if (typeof path !== 'string') {
    throw new ArgumentError({ argument: 'path', expected: 'a file name', actual: path })
  }
  const ending = /\.[^./\\]*$/.exec(path)?.[0].toLowerCase()
  if (ending !== '.svg' && ending !== '.txt') {
    throw new UnsupportedError({
      argument: 'path',
      expected: 'a file name that ends in .svg or .txt',
      actual: path,
    })
  }
  const drawing = ending === '.svg' ? draw_mask_svg(mask, options) : draw_mask_text(mask, options)
  const fileSystem = globalThis.process?.getBuiltinModule?.('node:fs')
  if (fileSystem === undefined) {
    throw new UnsupportedError({
      argument: 'path',
      expected: 'a process with a file system (Node.js 20.16 or later)',
      actual: path,
      hint: 'Call draw_mask_svg or draw_mask_text and store the text they return.',
    })
  }
  fileSystem.writeFileSync(path, drawing)
}
