export { AttnArg, type AttnArgOptions, type AttnArgPart, type FfaArgs } from './attn-arg.js'
export { CalcMeta, type CalcMetaOptions } from './calc-meta.js'
export { CommMeta, type CommMetaOptions, type StageBytes } from './comm-meta.js'
export {
  type GroupCastArgs,
  GroupCollectiveArg,
  type GroupCollectiveArgOptions,
  type GroupReduceArgs,
} from './group-collective-arg.js'
