/** Reads what ptxas reports with `-Xptxas -v,-warn-spills`. */

export interface KernelReport {
  /** The mangled name. */
  readonly name: string
  /** Such as `sm_90a`. */
  readonly architecture: string
  readonly registers: number
  readonly spillStoreBytes: number
  readonly spillLoadBytes: number
}

export interface PtxasReport {
  readonly kernels: readonly KernelReport[]
  /** Lines that carry a code of the C75xx family, which is about wgmma and setmaxnreg. */
  readonly wgmmaRemarks: readonly { readonly code: string; readonly line: string }[]
}

export function parsePtxasReport(text: string): PtxasReport {
  const kernels: KernelReport[] = []
  const wgmmaRemarks: { code: string; line: string }[] = []
  let entry: { name: string; architecture: string } | undefined
  let spills = { spillStoreBytes: 0, spillLoadBytes: 0 }
  for (const line of text.split('\n')) {
    const remark = line.match(/\b(C75\d\d)\b/)
    if (remark) wgmmaRemarks.push({ code: remark[1]!, line: line.trim() })

    const begin = line.match(/Compiling entry function '(.+?)' for '(.+?)'/)
    if (begin) {
      entry = { name: begin[1]!, architecture: begin[2]! }
      spills = { spillStoreBytes: 0, spillLoadBytes: 0 }
    }
    const spilled = line.match(/stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads/)
    if (spilled) {
      // Functions that are not inlined report their own frames within their kernel's section.
      spills.spillStoreBytes += Number(spilled[1])
      spills.spillLoadBytes += Number(spilled[2])
    }
    const used = line.match(/Used (\d+) registers/)
    if (used && entry) {
      kernels.push({ ...entry, registers: Number(used[1]), ...spills })
      entry = undefined
    }
  }
  return { kernels, wgmmaRemarks }
}

/** "warpgroup.arrive injected": the compiler adds the fence that the source lacks, which costs nothing. */
const harmless = new Set(['C7519'])

/** What must not ship, one sentence each. */
export function ptxasProblems({ kernels, wgmmaRemarks }: PtxasReport): string[] {
  const spilling = kernels.filter(
    ({ spillStoreBytes, spillLoadBytes }) => spillStoreBytes + spillLoadBytes > 0,
  )
  return [
    ...spilling.map(
      kernel =>
        `${kernel.name} (${kernel.architecture}) spills: ${kernel.spillStoreBytes} bytes of stores, ` +
        `${kernel.spillLoadBytes} bytes of loads, ${kernel.registers} registers`,
    ),
    ...wgmmaRemarks.filter(({ code }) => !harmless.has(code)).map(({ line }) => line),
  ]
}
