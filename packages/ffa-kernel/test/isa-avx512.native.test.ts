import { describeIsa } from './helpers/isa-suite.js'

describeIsa('avx512')
