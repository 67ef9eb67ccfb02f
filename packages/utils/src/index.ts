export * from './attn-flops.js'
export {
  clearup_dist_env,
  type DistEnv,
  type SetupDistEnvOptions,
  setup_dist_env,
} from './dist-env/setup-dist-env.js'
export * from './format.js'
export * from './lists.js'
export * from './numbers.js'
export * from './progress.js'
export * from './seeds.js'
