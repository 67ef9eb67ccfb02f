export { GroupCastPlan, type ReceivePlan, type SendPlan } from './group-cast-plan.js'
