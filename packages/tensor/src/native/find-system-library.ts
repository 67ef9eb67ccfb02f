import koffi from 'koffi'

/**
 * The first of several names under which the system's loader finds a library, or null. The library stays loaded.
 * For reports; to call a library, see `loadNativeLibrary`.
 */
export function findSystemLibrary(names: readonly string[]): string | null {
  const found = names.find(name => {
    try {
      koffi.load(name)
      return true
    } catch {
      return false
    }
  })
  return found ?? null
}
