import { describeIsa } from './helpers/isa-suite.js'

describeIsa('portable')
