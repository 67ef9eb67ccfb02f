export type { BackendName } from './backend/backend.js'
export { all_gather, all_gather_v } from './collectives/all-gather.js'
export { all_reduce } from './collectives/all-reduce.js'
export { all_to_all_v } from './collectives/all-to-all.js'
export { barrier, broadcast } from './collectives/broadcast.js'
export type { CollectiveOptions } from './collectives/options.js'
export { recv, send } from './collectives/point-to-point.js'
export { ReduceOp } from './collectives/reduce-operation.js'
export { reduce_scatter, reduce_scatter_v } from './collectives/reduce-scatter.js'
export { scatter_v } from './collectives/scatter.js'
export { DeviceMesh, init_device_mesh } from './device-mesh.js'
export { type Environment, type Rendezvous, readRendezvous } from './environment.js'
export { type GroupCastOptions, group_cast } from './group-collective/group-cast.js'
export type { GroupPlanOptions } from './group-collective/group-plan.js'
export { type GroupReduceOp, type GroupReduceOptions, group_reduce } from './group-collective/group-reduce.js'
export type { Tensors } from './group-collective/group-tensors.js'
export { GrpCollConfig, type GrpCollConfigOptions } from './grp-coll-config.js'
export { ProcessGroup } from './process-group.js'
export { GeneralWork, Work, WorkWithPostProcessFn } from './work.js'
export {
  destroy_process_group,
  get_backend,
  get_global_rank,
  get_group_rank,
  get_local_rank,
  get_rank,
  get_world_size,
  type InitProcessGroupOptions,
  init_process_group,
  is_initialized,
  new_group,
} from './world.js'
