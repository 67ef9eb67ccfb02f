/** Starts programs on many ranks, for tests. */
export { freePort, type RankResult, report, type SpawnOptions, spawnRanks } from './spawn-ranks.js'
