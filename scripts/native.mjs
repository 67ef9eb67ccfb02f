/** Builds the native libraries. CMake decides what is stale, so this is quick when nothing is. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { workspacePackages } from './install.mjs'
import { CommandError, root, step } from './process.mjs'

export async function buildNative() {
  requireToolchain()
  for (const { folder, name } of workspacePackages()) {
    if (!existsSync(join(root, folder, 'native/CMakeLists.txt'))) continue
    const script = join(root, 'packages/tensor/bin/build-native.mjs')
    await step(`Building the native library of ${name}`, process.execPath, [script, join(root, folder)])
  }
}

function requireToolchain() {
  const missing = []
  if (!canRun('cmake')) missing.push('CMake 3.18 or newer')
  // On Windows and with Xcode, CMake finds compilers that are not on the PATH.
  const compilers = [process.env.CXX, 'c++', 'g++', 'clang++'].filter(Boolean)
  if (process.platform === 'linux' && !compilers.some(canRun))
    missing.push('a C++17 compiler (g++ or clang++)')
  if (missing.length === 0) return
  throw new CommandError(
    [
      `The CPU libraries are built from source, and this machine lacks ${missing.join(' and ')}.`,
      '  Debian, Ubuntu   apt-get install cmake g++',
      '  Fedora           dnf install cmake gcc-c++',
      '  macOS            xcode-select --install && brew install cmake',
      'Then run the command again.',
    ].join('\n'),
  )
}

function canRun(command) {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0
}
