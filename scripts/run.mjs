#!/usr/bin/env node
/**
 * The one entry of the workspace, behind every `npm run` script: `node scripts/run.mjs <command> [arguments]`.
 * It needs Node and npm alone; what a command needs beyond that is installed or built on the way.
 */
const [major, minor] = process.versions.node.split('.').map(Number)

if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`magi-attention needs Node 20.19 or newer, and this is ${process.version}.`)
  console.error(
    'Install a newer one from https://nodejs.org (or with nvm, fnm, volta) and run the command again.',
  )
  process.exit(1)
}

// Imported only now, so that an old Node reads the message above instead of a syntax error.
import('./commands.mjs').then(({ main }) => main(process.argv.slice(2)))
