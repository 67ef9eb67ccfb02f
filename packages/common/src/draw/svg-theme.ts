import type { AttnMaskType } from '../attn-mask-type.js'
import { ArgumentError } from '../errors/index.js'

/** Whether a drawing follows the reader's colour scheme or is fixed. */
export type DrawTheme = 'auto' | 'light' | 'dark'

/** @throws {@link ArgumentError} for a theme that does not exist */
export function requireTheme(theme: unknown): asserts theme is DrawTheme {
  if (theme === 'auto' || theme === 'light' || theme === 'dark') return
  throw new ArgumentError({ argument: 'theme', expected: "'auto' | 'light' | 'dark'", actual: theme })
}

interface Colours {
  readonly card: string
  readonly border: string
  readonly plot: string
  readonly masked: string
  readonly grid: string
  readonly ink: string
  readonly muted: string
  readonly types: Readonly<Record<AttnMaskType, string>>
}

const light: Colours = {
  card: '#ffffff',
  border: '#e3e5e8',
  plot: '#eff1f4',
  masked: '#e6e9ed',
  grid: '#dce1e7',
  ink: '#1c2128',
  muted: '#5b6570',
  types: { full: '#2f6fd0', causal: '#12946b', inv_causal: '#d98a00', bi_causal: '#8250df' },
}

const dark: Colours = {
  card: '#14181e',
  border: '#2c333d',
  plot: '#1c222a',
  masked: '#29303a',
  grid: '#303844',
  ink: '#e8ebef',
  muted: '#9aa5b1',
  types: { full: '#5b9bf5', causal: '#2fbf8f', inv_causal: '#f0ab2e', bi_causal: '#b08cf8' },
}

const font = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"

/**
 * The style sheet of a drawing. Rules are scoped to `scope`, for drawings that stand inline in one page.
 */
export function styleSheet(theme: DrawTheme, scope: string): string {
  const base = [
    `.${scope} text{font-family:${font};font-size:11px}`,
    `.${scope} .title{font-size:15px;font-weight:600}`,
    `.${scope} .line{stroke-width:1;fill:none}`,
    `.${scope} .cells{stroke-width:1.5;stroke-linejoin:round}`,
    `.${scope} .area{stroke-width:0.6;stroke-linejoin:round}`,
    `.${scope} .slice{stroke-width:0.8;stroke-linejoin:round;fill-opacity:0.85}`,
  ]
  const fixed = rules(theme === 'dark' ? dark : light, scope)
  const adaptive =
    theme === 'auto' ? [`@media (prefers-color-scheme:dark){${rules(dark, scope).join('')}}`] : []
  return [...base, ...fixed, ...adaptive].join('\n')
}

function rules(colours: Colours, scope: string): string[] {
  const types = Object.entries(colours.types).map(
    ([type, colour]) => `.${scope} .${type}{fill:${colour};stroke:${colour}}`,
  )
  return [
    `.${scope} .card{fill:${colours.card};stroke:${colours.border}}`,
    `.${scope} .plot{fill:${colours.plot};stroke:${colours.grid}}`,
    `.${scope} .masked{fill:${colours.masked};stroke:${colours.masked}}`,
    `.${scope} .grid{stroke:${colours.grid}}`,
    `.${scope} .axis{stroke:${colours.muted}}`,
    `.${scope} .title{fill:${colours.ink}}`,
    `.${scope} .label{fill:${colours.muted}}`,
    ...types,
  ]
}
