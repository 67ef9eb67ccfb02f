import { describeKernels } from './helpers/gpu-suite.js'

describeKernels('sm90', [64, 96, 128, 192, 256])
