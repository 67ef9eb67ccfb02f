import { describe, expect, it } from 'vitest'
import { publicNames } from './public-names.js'
import { read } from './workspace.js'

interface Feature {
  readonly name: string
  readonly state: string
  /** Package of the section, or undefined for what belongs to none yet. */
  readonly packageName: string | undefined
}

const exported = publicNames()
const features = parseFeatures(read('FEATURES.md'))
const allNames = new Set([...exported.values()].flatMap(names => names.map(({ name }) => name)))

describe('FEATURES.md', () => {
  it('knows two states, and no name twice', () => {
    expect(features.filter(({ state }) => state !== 'yes' && state !== 'no')).toEqual([])
    const names = features.map(({ name, packageName }) => `${packageName}: ${name}`)
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([])
  })

  it('says yes only to what its package exports', () => {
    const missing = features.filter(({ name, state, packageName }) => {
      return state === 'yes' && !exported.get(packageName ?? '')?.some(other => other.name === name)
    })
    expect(missing).toEqual([])
  })

  it('says no only to what does not exist', () => {
    const existing = features.filter(({ name, state }) => state === 'no' && allNames.has(name))
    expect(existing).toEqual([])
  })

  it.each([...exported.keys()])('has every mirrored name that %s exports', packageName => {
    const listed = new Set(
      features.filter(feature => feature.packageName === packageName).map(({ name }) => name),
    )
    const missing = exported.get(packageName)!.filter(({ name, kind }) => {
      const [owner, member] = name.split('.')
      const isMirrored = /^[a-z][a-z0-9_]*$/.test(member ?? owner!)
      const concernsList = member === undefined ? kind === 'value' : listed.has(owner!)
      return isMirrored && concernsList && !name.startsWith('nn.') && !listed.has(name)
    })
    expect(missing.map(({ name }) => name)).toEqual([])
  })
})

/** Rows of the tables with names; the sections on capabilities and environment variables have none. */
function parseFeatures(text: string): Feature[] {
  const features: Feature[] = []
  let packageName: string | undefined
  let owner = ''
  for (const line of text.slice(0, text.indexOf('\n## Capabilities')).split('\n')) {
    const heading = /^## (.*)/.exec(line)?.[1]
    if (heading !== undefined) packageName = heading.startsWith('@') ? heading : undefined
    const [, names, state] = /^\| (`.*?) \| (.*?) \|/.exec(line) ?? []
    if (names === undefined || state === undefined) continue
    for (const [, name] of names.matchAll(/`([^`]+)`/g)) {
      if (!name!.startsWith('.')) owner = name!
      features.push({ name: name!.startsWith('.') ? owner + name : name!, state, packageName })
    }
  }
  return features
}
