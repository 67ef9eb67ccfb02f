import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

const elfMachines: Readonly<Record<string, number>> = { x64: 62, arm64: 183, riscv64: 243, loong64: 258 }
const machOMagic = 0xfeedfacf
const machOFatMagic = 0xcafebabe
const peMagic = 0x5a4d

/**
 * Tells why a file cannot be a shared library of this platform, or undefined if it looks sound.
 * The loader must not be asked instead: on Linux, mapping a truncated library kills the process.
 */
export function findLibraryFileProblem(
  path: string,
  platform: string = process.platform,
  arch: string = process.arch,
): string | undefined {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch (error) {
    return `it cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`
  }
  try {
    const stats = fstatSync(file)
    if (!stats.isFile()) return 'it is not a file'
    const head = readBytes(file, 0, 64)
    if (head.length < 64) return `it is only ${head.length} bytes long`
    if (platform === 'linux') return findElfProblem(file, head, stats.size, arch)
    const magic = { darwin: [machOMagic, machOFatMagic], win32: [peMagic] }[platform]
    const found = [head.readUInt32LE(0), head.readUInt32BE(0), head.readUInt16LE(0)]
    return magic === undefined || magic.some(value => found.includes(value))
      ? undefined
      : `it is not a shared library of ${platform}`
  } finally {
    closeSync(file)
  }
}

/** Checks the header and that all segments and both tables lie inside the file (layout: System V ABI, ELF-64). */
function findElfProblem(file: number, head: Buffer, size: number, arch: string): string | undefined {
  if (head.readUInt32BE(0) !== 0x7f454c46) return 'it is not an ELF file'
  if (head[4] !== 2) return 'it is not a 64-bit library'
  if (head[5] !== 1) return 'it is not a little-endian library'
  if (head.readUInt16LE(16) !== 3) return 'it is not a shared library'
  const machine = elfMachines[arch]
  if (machine !== undefined && head.readUInt16LE(18) !== machine)
    return `it was built for another machine than ${arch}`

  const segmentTable = {
    offset: Number(head.readBigUInt64LE(32)),
    entry: head.readUInt16LE(54),
    count: head.readUInt16LE(56),
  }
  const sectionTableEnd = Number(head.readBigUInt64LE(40)) + head.readUInt16LE(58) * head.readUInt16LE(60)
  const truncated = `it is truncated (${size} bytes)`
  if (segmentTable.count === 0 || segmentTable.entry < 56) return 'it has no loadable segments'
  if (sectionTableEnd > size) return truncated
  const segments = readBytes(file, segmentTable.offset, segmentTable.entry * segmentTable.count)
  if (segments.length < segmentTable.entry * segmentTable.count) return truncated
  for (let i = 0; i < segmentTable.count; i++) {
    const start = i * segmentTable.entry
    const end = segments.readBigUInt64LE(start + 8) + segments.readBigUInt64LE(start + 32)
    if (end > BigInt(size)) return truncated
  }
  return undefined
}

function readBytes(file: number, position: number, count: number): Buffer {
  const bytes = Buffer.alloc(count)
  return Number.isSafeInteger(position)
    ? bytes.subarray(0, readSync(file, bytes, 0, count, position))
    : bytes.subarray(0, 0)
}
