/** The CUDA libraries and their tests, on the CPU: see cuda-emulator/README.md. Needs the headers of CUDA, but no GPU. */
import { execFile, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { root } from './workspace.js'

const run = promisify(execFile)
const build = join(root, 'node_modules/.cache/cuda-emulator')
const minutes = 60_000

const configured = spawnSync('cmake', ['-S', join(root, 'tests/cuda-emulator'), '-B', build], {
  encoding: 'utf8',
})
const hasHeaders = !configured.stderr?.includes('headers of CUDA were not found')
if (!hasHeaders) console.log('The emulator of CUDA: skipped, because the headers of CUDA were not found')

describe.skipIf(!hasHeaders)('on the emulator of CUDA', () => {
  beforeAll(async () => {
    expect(configured.status, configured.stderr).toBe(0)
    await run('cmake', ['--build', build, '--parallel', '2'], { maxBuffer: 1 << 26 })
  }, 15 * minutes)

  it('faults are found out', async () => {
    const { stdout } = await run(join(build, 'self_test'))
    expect(stdout).toBe('ok\n')
  })

  it('the example runs with --device cuda', { timeout: 5 * minutes }, async () => {
    const program = ['--import', 'tsx', 'examples/ffa-quickstart/main.ts', '--device', 'cuda']
    const { stdout } = await runWith(environment(), ['--conditions=@magi-attention/source', ...program])
    expect(stdout).toMatch(/CUDA emulator.*dv .*bfloat16/s)
  })

  it.each([
    { name: 'tensors', files: ['packages/tensor/test/cuda-'], tests: 65 },
    { name: 'masks on the device', files: ['packages/ffa-kernel/test/device-mask'], tests: 5 },
    { name: 'the sm80 kernels', files: ['packages/ffa-kernel/test/sm80.gpu'], tests: 14 },
    { name: 'the sm90 kernels', files: ['packages/ffa-kernel/test/sm90.gpu'], tests: 14 },
    // In another order, and one block after the other.
    {
      name: 'the sm90 kernels once more',
      files: ['packages/ffa-kernel/test/sm90.gpu'],
      tests: 14,
      seed: 2,
      multiprocessors: 1,
    },
  ])(
    '$name pass their tests',
    async ({ files, tests, seed = 1, multiprocessors = 3 }) => {
      const { passed, failed, output } = await runTests(files, seed, multiprocessors)
      expect(failed, output).toBe(0)
      expect(passed).toBeGreaterThanOrEqual(tests)
    },
    15 * minutes,
  )
})

interface Outcome {
  readonly passed: number
  readonly failed: number
  readonly output: string
}

/** Runs tests as where there are two GPUs. */
async function runTests(files: string[], seed: number, multiprocessors: number): Promise<Outcome> {
  const report = join(build, `tests-${process.pid}.json`)
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const vitest = join(root, 'node_modules/vitest/vitest.mjs')
  const env = {
    ...environment(),
    MAGI_ATTENTION_REQUIRE_GPU: '2',
    MAGI_CUDA_EMULATOR_DEVICES: '2',
    MAGI_CUDA_EMULATOR_MEMORY: String(2e9),
    MAGI_CUDA_EMULATOR_SEED: String(seed),
    MAGI_CUDA_EMULATOR_SMS: String(multiprocessors),
  }
  const { stdout, stderr } = await runWith(env, [vitest, 'run', ...reporters, ...files]).catch(error => error)
  const { numPassedTests, numFailedTests, success } = JSON.parse(readFileSync(report, 'utf8'))
  return {
    passed: numPassedTests,
    failed: Math.max(numFailedTests, success ? 0 : 1),
    output: `${stdout}\n${stderr}`,
  }
}

function runWith(env: NodeJS.ProcessEnv, args: string[]) {
  return run(process.execPath, args, { cwd: root, env, maxBuffer: 1 << 26 })
}

/** With the emulator's libraries, and without the variables of the run that this one is part of. */
function environment(): NodeJS.ProcessEnv {
  return {
    ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('VITEST'))),
    MAGI_ATTENTION_TENSOR_CUDA_LIB: join(build, 'libmagi_tensor_cuda.so'),
    MAGI_ATTENTION_FFA_CUDA_LIB: join(build, 'libmagi_ffa_cuda.so'),
    MAGI_ATTENTION_CUBLAS_LIB: join(build, 'libmagi_cublas_emulator.so'),
  }
}
