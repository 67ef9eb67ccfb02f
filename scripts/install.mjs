/** Makes sure that node_modules holds what the lockfile says. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root, step } from './process.mjs'

const manifest = readJson('package.json')

/** The package manager that package.json pins, started through npx: nothing is installed globally. */
const pnpm = ['--yes', manifest.packageManager]
const shell = process.platform === 'win32'

export async function ensureInstalled() {
  if (isInstalled()) return
  const args = [...pnpm, 'install', '--frozen-lockfile', '--config.confirmModulesPurge=false']
  await step('Installing the packages', 'npx', args, { shell })
}

/** Arguments for npx that run a command with the pinned pnpm on its PATH, as turbo needs it. */
export function withPnpm(command, args) {
  return ['npx', ['--yes', `--package=${manifest.packageManager}`, '--', command, ...args], { shell }]
}

/**
 * pnpm keeps a copy of the lockfile that it installed last, and writes its state file when it is done. An
 * install that was interrupted, or that is of another lockfile, lacks one or differs in the other.
 */
function isInstalled() {
  const installed = join(root, 'node_modules/.pnpm/lock.yaml')
  if (!existsSync(installed) || !existsSync(join(root, 'node_modules/.pnpm-workspace-state-v1.json')))
    return false
  if (!readFileSync(installed).equals(readFileSync(join(root, 'pnpm-lock.yaml')))) return false
  return workspacePackages().every(({ folder, dependencies }) => {
    return dependencies === undefined || existsSync(join(root, folder, 'node_modules'))
  })
}

/** The folders of the workspace that hold a package.json, each with its manifest. */
export function workspacePackages() {
  const parents = ['packages', 'examples']
  const folders = parents.flatMap(parent => readdirSync(join(root, parent)).map(name => `${parent}/${name}`))
  return [...folders, 'benchmarks']
    .filter(folder => existsSync(join(root, folder, 'package.json')))
    .map(folder => ({ ...readJson(`${folder}/package.json`), folder }))
}

function readJson(path) {
  return JSON.parse(readFileSync(join(root, path), 'utf8'))
}
