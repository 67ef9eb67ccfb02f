import { describeKernels } from './helpers/gpu-suite.js'

describeKernels('sm80', [8, 24, 64, 96, 128, 136, 256])
