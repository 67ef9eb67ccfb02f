import koffi from 'koffi'

const candidates = ['libopenblas.so.0', 'libopenblas.so', 'libopenblas.dylib']

export interface OpenBlas {
  /** C = A B for row-major float32 matrices [n, n]. */
  sgemm(n: number, a: Float32Array, b: Float32Array, c: Float32Array): void
  setThreads(count: number): void
  readonly kernel: string
}

/**
 * OpenBLAS of the system, or null. On processors with AVX-512 that it does not know, such as new ones on an old
 * distribution, it falls back to AVX2 unless OPENBLAS_CORETYPE=SKYLAKEX asks for its best kernels.
 */
export function loadOpenBlas(): OpenBlas | null {
  for (const name of candidates) {
    try {
      const library = koffi.load(name)
      const gemm = library.func(
        'void cblas_sgemm(int order, int ta, int tb, int m, int n, int k, float alpha, void* a, int lda, void* b, int ldb, float beta, void* c, int ldc)',
      )
      const rowMajor = 101
      const noTranspose = 111
      return {
        sgemm: (n, a, b, c) => gemm(rowMajor, noTranspose, noTranspose, n, n, n, 1, a, n, b, n, 0, c, n),
        setThreads: library.func('void openblas_set_num_threads(int count)') as (count: number) => void,
        kernel: (library.func('const char* openblas_get_corename()') as () => string)(),
      }
    } catch {}
  }
  return null
}
