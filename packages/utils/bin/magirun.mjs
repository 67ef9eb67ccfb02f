#!/usr/bin/env node
/** Starts a program as several ranks: `magirun --help`. */
import { existsSync } from 'node:fs'

// In the repository packages need not be built: the sources run through tsx.
const isWorkspace = existsSync(new URL('../../../pnpm-workspace.yaml', import.meta.url))
if (isWorkspace) (await import('tsx/esm/api')).register()
const { main } = await import(isWorkspace ? '../src/launcher/main.ts' : '../dist/launcher/main.js')

process.exitCode = await main(process.argv.slice(2))
