import { defineConfig } from 'vitest/config'

const conditions = ['@magi-attention/source', 'node', 'import', 'module', 'default']

/** Tests run on the sources: the source condition comes first in every package's exports. */
export default defineConfig({
  ssr: { resolve: { conditions, externalConditions: conditions } },
  resolve: { conditions },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'packages/*/test/**/*.test.ts', 'tests/**/*.test.ts'],
    pool: 'forks',
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
})
