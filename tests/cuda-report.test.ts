import { describe, expect, it } from 'vitest'
import { softmaxLoops } from './cuda-report/exponentials.js'
import { naturalLoops } from './cuda-report/natural-loops.js'
import { parsePtxasReport, ptxasProblems } from './cuda-report/ptxas-report.js'
import { parseSass } from './cuda-report/sass.js'

const clean = `
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z7forwardPf' for 'sm_90a'
ptxas info    : Function properties for _Z7forwardPf
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 168 registers, used 9 barriers
ptxas info    : (C7519) Potential Performance Loss: warpgroup.arrive is injected in around line 12 in function '_Z7forwardPf'
`

const spilling = `
ptxas warning : Registers are spilled to local memory in function '_Z8backwardPf', 652 bytes spill stores, 636 bytes spill loads
ptxas info    : Compiling entry function '_Z8backwardPf' for 'sm_80'
ptxas info    : Function properties for _Z8backwardPf
    288 bytes stack frame, 652 bytes spill stores, 636 bytes spill loads
ptxas info    : Used 32 registers, used 0 barriers, 288 bytes cumulative stack size
`

const serialised =
  "ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async instructions are serialized in function '_Z1f'"

describe('the report of ptxas', () => {
  it('gives each kernel with its registers and spills', () => {
    expect(parsePtxasReport(clean + spilling).kernels).toEqual([
      { name: '_Z7forwardPf', architecture: 'sm_90a', registers: 168, spillStoreBytes: 0, spillLoadBytes: 0 },
      {
        name: '_Z8backwardPf',
        architecture: 'sm_80',
        registers: 32,
        spillStoreBytes: 652,
        spillLoadBytes: 636,
      },
    ])
  })

  it('is in order without spills and with injected arrivals alone', () => {
    expect(ptxasProblems(parsePtxasReport(clean))).toEqual([])
  })

  it('shows spills and products that were made to wait for each other', () => {
    expect(ptxasProblems(parsePtxasReport(clean + spilling + serialised))).toEqual([
      '_Z8backwardPf (sm_80) spills: 652 bytes of stores, 636 bytes of loads, 32 registers',
      serialised,
    ])
  })
})

describe('natural loops', () => {
  it('are found with their bodies, nested ones too', () => {
    const graph = [[1], [2], [3, 2], [1, 4], []]
    expect(naturalLoops(graph)).toEqual(
      expect.arrayContaining([
        { header: 1, nodes: [1, 2, 3] },
        { header: 2, nodes: [2] },
      ]),
    )
  })

  it('do not begin where a wait out of line comes back into a loop', () => {
    const loop = [[1], [2, 5], [3], [1, 4], [], [5, 2]]
    const headers = naturalLoops(loop).map(({ header }) => header)
    expect(headers.sort()).toEqual([1, 5])
  })
})

/** The text of cuobjdump for a kernel of these instructions, 16 bytes each. */
function sass(instructions: string[]): string {
  const lines = instructions.map((instruction, index) => {
    const address = (index * 16).toString(16).padStart(4, '0')
    return `        /*${address}*/                   ${instruction} ;      /* 0x0000000000007918 */\n   /* 0x000fc00000000000 */`
  })
  return ['\t\tFunction : _Z7forwardPf', '\t.headerflags\t@"EF_CUDA_SM90"', ...lines].join('\n')
}

const product = 'HGMMA.64x128x16.F32.BF16 R24, gdesc[UR4], R24'
const scores = 'WARPGROUP.DEPBAR.LE gsb0, 0x1'
const output = 'WARPGROUP.DEPBAR.LE gsb0, 0x0'
const exponential = 'MUFU.EX2 R5, R5'

function loopsOf(body: string[]) {
  const instructions = ['MOV R1, c[0x0][0x28]', ...body, '@P0 BRA 0x10', 'EXIT']
  return parseSass(sass(instructions)).flatMap(softmaxLoops)
}

describe('the exponentials of a main loop', () => {
  it('overlap with products if they stand before the wait for them', () => {
    const loop = loopsOf([product, product, scores, exponential, exponential, output])
    expect(loop).toEqual([{ address: 0x10, exponentials: 2, overlapped: 2 }])
  })

  it('do not overlap if they were moved below the last wait', () => {
    const loop = loopsOf([product, product, scores, exponential, output, exponential])
    expect(loop).toEqual([{ address: 0x10, exponentials: 2, overlapped: 1 }])
  })

  it('are judged alike wherever the loop begins', () => {
    expect(loopsOf([exponential, output, product, product, scores])[0]!.overlapped).toBe(1)
    expect(loopsOf([exponential, product, product, scores, output])[0]!.overlapped).toBe(0)
  })

  it('are looked for in innermost loops, also across a wait that spins out of line', () => {
    const main = [product, '@P1 BRA 0x90', scores, exponential, output]
    const instructions = ['NOP', 'NOP', ...main, '@P0 BRA 0x20', 'EXIT', '@P1 BRA 0x90', 'BRA 0x40']
    const loops = parseSass(sass(instructions)).flatMap(softmaxLoops)
    expect(loops).toEqual([{ address: 0x20, exponentials: 1, overlapped: 1 }])
  })

  it('may stand in a branch out of line', () => {
    const main = [product, '@P1 BRA 0x80', output, product, scores, '@P0 BRA 0x10', 'EXIT']
    const instructions = ['NOP', ...main, exponential, 'BRA 0x30']
    const loops = parseSass(sass(instructions)).flatMap(softmaxLoops)
    expect(loops).toEqual([{ address: 0x10, exponentials: 1, overlapped: 1 }])
  })

  it('are absent in kernels of other kinds', () => {
    expect(loopsOf([exponential])).toEqual([])
  })
})
