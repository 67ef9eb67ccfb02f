/** What the compiler made of the CUDA kernels. Needs their build, but no GPU. */
import { basename } from 'node:path'
import { describe, expect, it } from 'vitest'
import { compilerReport, disassemble, findCuobjdump, kernelObjects } from './cuda-report/build.js'
import { softmaxLoops } from './cuda-report/exponentials.js'
import { parsePtxasReport, ptxasProblems } from './cuda-report/ptxas-report.js'
import { parseSass } from './cuda-report/sass.js'

const objects = kernelObjects()
const hopperForward = objects.filter(object => /sm90.forward_/.test(object))
const cuobjdump = findCuobjdump()

if (objects.length === 0)
  console.log('CUDA kernels: not checked, because libmagi_ffa_cuda was not built here')
else if (!cuobjdump) console.log('CUDA machine code: not checked, because there is no cuobjdump')

function named(paths: string[]): [name: string, path: string][] {
  return paths.map(path => [basename(path), path])
}

describe.skipIf(objects.length === 0)('the compiler', () => {
  it.each(named(objects))('spills no registers and serialises no products: %s', (_, object) => {
    expect(ptxasProblems(parsePtxasReport(compilerReport(object)))).toEqual([])
  })

  it('reports on kernels', () => {
    const kernels = objects.flatMap(object => parsePtxasReport(compilerReport(object)).kernels)
    expect(kernels.length).toBeGreaterThan(0)
  })
})

describe.skipIf(hopperForward.length === 0 || !cuobjdump)('the forward kernels for Hopper', () => {
  it.each(named(hopperForward))('take their exponentials while products are under way: %s', (_, object) => {
    const loops = parseSass(disassemble(cuobjdump!, object)).flatMap(softmaxLoops)
    expect(loops.length).toBeGreaterThan(0)
    // A quarter of a tile's scores at least: the others become probabilities while the first are packed. Each thread has two rows,
    // whose rescaling is a branch of its own.
    for (const { exponentials, overlapped } of loops)
      expect(overlapped).toBeGreaterThanOrEqual((exponentials - 2) / 4)
  })
})
