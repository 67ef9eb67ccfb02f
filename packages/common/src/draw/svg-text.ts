/** A text element. */
export function svgText(kind: string, x: number, y: number, content: string, attributes = ''): string {
  const place = `x="${roundPixels(x)}" y="${roundPixels(y)}"${attributes && ` ${attributes}`}`
  return `<text class="${kind}" ${place}>${escapeXml(content)}</text>`
}

/** Two decimals: a hundredth of a pixel. */
export function roundPixels(value: number): number {
  return Math.round(value * 100) / 100
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

/** Text for use in XML: without control characters, which XML 1.0 has no way to write. */
export function escapeXml(content: string): string {
  const printable = [...content].filter(character => character >= ' ').join('')
  return printable.replace(/[&<>"]/g, character => ENTITIES[character]!)
}
