/** The sizes of the program. */
export interface Preset {
  readonly total_seqlen: number
  readonly num_heads_q: number
  readonly num_heads_kv: number
  readonly head_dim: number
  readonly chunk_size: number
  readonly embed_dim: number
}

const presets: Readonly<Record<string, Preset>> = {
  /** Seconds on two cores. */
  cpu: {
    total_seqlen: 2048,
    num_heads_q: 12,
    num_heads_kv: 2,
    head_dim: 32,
    chunk_size: 32,
    embed_dim: 128,
  },
  /** The sizes of MagiAttention's program. */
  full: {
    total_seqlen: 32 * 1024,
    num_heads_q: 48,
    num_heads_kv: 8,
    head_dim: 128,
    chunk_size: 512,
    embed_dim: 4096,
  },
}

/** Reads `--preset cpu` or `--preset full`; without it, cpu. Ends the program for anything else. */
export function readPreset(args: readonly string[]): Preset {
  const name = args.length === 0 ? 'cpu' : args.length === 2 && args[0] === '--preset' ? args[1]! : ''
  const preset = Object.hasOwn(presets, name) ? presets[name] : undefined
  if (preset) return preset
  console.error(`Usage: main.ts [--preset ${Object.keys(presets).join(' | ')}]`)
  process.exit(2)
}
