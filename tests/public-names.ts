/** The public names of the packages, as the TypeScript compiler sees them. */
import { join } from 'node:path'
import ts from 'typescript'
import { packages, root } from './workspace.js'

export interface PublicName {
  /** `flex_flash_attn_func`, or `AttnRange.intersect` for a member of a class or interface. */
  readonly name: string
  readonly kind: 'value' | 'type'
}

/** Public names by package, without those of `api`, which only re-exports. */
export function publicNames(): Map<string, PublicName[]> {
  const entries = packages.filter(({ folder }) => folder !== 'api')
  const files = entries.map(({ path }) => join(path, 'src/index.ts'))
  const config = ts.readConfigFile(join(root, 'tsconfig.base.json'), ts.sys.readFile).config
  const { options } = ts.parseJsonConfigFileContent({ ...config, files }, ts.sys, root)
  const program = ts.createProgram(files, { ...options, noEmit: true, composite: false })
  const checker = program.getTypeChecker()
  return new Map(
    entries.map(({ manifest }, index) => {
      const symbol = checker.getSymbolAtLocation(program.getSourceFile(files[index]!)!)!
      const names = checker.getExportsOfModule(symbol).flatMap(name => describeExport(name, checker))
      return [manifest.name, names]
    }),
  )
}

function describeExport(exported: ts.Symbol, checker: ts.TypeChecker): PublicName[] {
  const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported
  const isValue = (symbol.flags & (ts.SymbolFlags.Value | ts.SymbolFlags.Namespace)) !== 0
  const own: PublicName = { name: exported.name, kind: isValue ? 'value' : 'type' }
  return [
    own,
    ...memberNames(symbol, checker).map(name => ({ name: `${exported.name}.${name}`, kind: own.kind })),
  ]
}

/** Members of classes, static and not, of interfaces, and the names inside of a namespace such as `nn`. */
function memberNames(symbol: ts.Symbol, checker: ts.TypeChecker): string[] {
  if (symbol.flags & ts.SymbolFlags.ValueModule) {
    return checker
      .getExportsOfModule(symbol)
      .flatMap(name => describeExport(name, checker).map(({ name }) => name))
  }
  if (symbol.flags & ts.SymbolFlags.Interface && !(symbol.flags & ts.SymbolFlags.Class)) {
    return checker
      .getDeclaredTypeOfSymbol(symbol)
      .getProperties()
      .map(({ name }) => name)
  }
  if (!(symbol.flags & ts.SymbolFlags.Class)) return []
  const members = [...(symbol.members?.values() ?? []), ...(symbol.exports?.values() ?? [])]
  return members.filter(isPublicMember).map(({ name }) => name)
}

function isPublicMember(member: ts.Symbol): boolean {
  const isHidden = member.declarations?.some(declaration => {
    const flags = ts.getCombinedModifierFlags(declaration)
    const isInternal = ts.getJSDocTags(declaration).some(tag => tag.tagName.text === 'internal')
    return isInternal || (flags & (ts.ModifierFlags.Private | ts.ModifierFlags.Protected)) !== 0
  })
  return !isHidden && /^[A-Za-z]\w*$/.test(member.name) && member.name !== 'prototype'
}
