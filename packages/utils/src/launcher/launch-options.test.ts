import { describe, expect, it } from 'vitest'
import { parseLaunchOptions, UsageError } from './launch-options.js'

describe('parseLaunchOptions', () => {
  it('starts one rank on one machine by default', () => {
    expect(parseLaunchOptions(['a.js'])).toEqual({
      numRanks: 1,
      numNodes: 1,
      nodeRank: 0,
      masterAddr: '127.0.0.1',
      masterPort: null,
      script: 'a.js',
      args: [],
    })
  })

  it('takes torchrun’s spellings, and leaves what is behind the script to it', () => {
    const line = '--standalone --nproc_per_node=8 --nnodes 1 --node-rank 0 --master_port=1234 a.ts --nnodes x'
    expect(parseLaunchOptions(line.split(' '))).toMatchObject({
      numRanks: 8,
      masterPort: 1234,
      script: 'a.ts',
      args: ['--nnodes', 'x'],
    })
  })

  it('takes several machines', () => {
    const line = '--nnodes 2 --node-rank 1 --master-addr 10.0.0.1 --master-port 29500 --nproc-per-node 4 a.js'
    expect(parseLaunchOptions(line.split(' '))).toMatchObject({
      numNodes: 2,
      nodeRank: 1,
      masterAddr: '10.0.0.1',
      masterPort: 29500,
    })
  })

  it.each([
    ['', 'which script?'],
    ['--nproc-per-node', 'needs a value'],
    ['--nproc-per-node 0 a.js', 'from 1 to'],
    ['--nproc-per-node 1.5 a.js', 'from 1 to'],
    ['--nproc-per-node two a.js', 'from 1 to'],
    ['--ranks 2 a.js', 'what is --ranks?'],
    ['--node-rank 1 a.js', 'needs --nnodes above 1'],
    ['--nnodes 2 a.js', 'need --master-addr'],
    ['--nnodes 2 --master-addr a --master-port 1 --standalone a.js', 'one machine'],
    ['--master-port 65536 a.js', 'from 1 to 65535'],
  ])('refuses %j', (line, message) => {
    const parse = () => parseLaunchOptions(line.split(' ').filter(Boolean))
    expect(parse).toThrow(UsageError)
    expect(parse).toThrow(message)
  })

  it('knows a request for help', () => {
    expect(parseLaunchOptions(['--nnodes', '1', '--help'])).toBeNull()
  })
})
