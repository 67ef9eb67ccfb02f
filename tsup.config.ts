import { defineConfig } from 'tsup'

/** One build for every package: ESM with source maps. Declarations come from `tsc -b`. */
export default defineConfig({
  entry: ['src/index.ts'],
  format: 'esm',
  target: 'node20',
  platform: 'neutral',
  sourcemap: true,
  clean: true,
  dts: false,
  treeshake: true,
  external: [/^node:/],
  removeNodeProtocol: false,
})
