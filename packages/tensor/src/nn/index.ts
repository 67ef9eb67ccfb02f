export { Linear, type LinearOptions } from './linear.js'
export { Parameter } from './parameter.js'
