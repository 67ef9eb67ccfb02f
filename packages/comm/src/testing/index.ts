/** Starts programs on many ranks, for tests. */
export {
  freePort,
  type RankProcess,
  type RankResult,
  report,
  type SpawnOptions,
  spawnRanks,
} from './spawn-ranks.js'
