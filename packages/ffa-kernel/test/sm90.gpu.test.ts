import { describeKernels } from './helpers/gpu-suite.js'

describeKernels('sm90', [64, 128])
