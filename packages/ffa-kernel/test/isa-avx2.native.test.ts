import { describeIsa } from './helpers/isa-suite.js'

describeIsa('avx2')
