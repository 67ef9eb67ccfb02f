import { extname } from 'node:path'
import { describe, expect, it } from 'vitest'
import { read, sourceFiles } from './workspace.js'

const binary = new Set(['.png', '.gif', '.ico'])
const files = sourceFiles().filter(file => !binary.has(extname(file)))

function findAll(pattern: RegExp): string[] {
  return files.flatMap(file => {
    const lines = read(file).split('\n')
    return lines.flatMap((line, index) =>
      pattern.test(line) ? [`${file}:${index + 1}: ${line.trim()}`] : [],
    )
  })
}

describe('the repository', () => {
  it('names no package registry: npm finds its own', () => {
    expect(findAll(/https?:\/\/[^\s"'`)]*(npmjs|registry|npmmirror)|^\s*registry\s*=|\btarball:/)).toEqual([])
  })

  it('names no folder of a developer’s machine', () => {
    expect(findAll(/(?<![\w.~*}])\/(home|Users|root|work|mnt|tmp)\/\w/)).toEqual([])
  })

  it('has no line that ends in blanks and no tab outside of makefiles', () => {
    expect(findAll(/[ \t]+$/)).toEqual([])
    expect(findAll(/^\t/)).toEqual([])
  })

  it('skips no test and leaves none alone', () => {
    const tests = files.filter(file => file.endsWith('.test.ts'))
    const marked = tests.filter(file => /\b(it|test|describe)\.(skip|only|todo)\b/.test(read(file)))
    expect(marked).toEqual([])
  })
})
