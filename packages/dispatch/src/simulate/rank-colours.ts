/** Colours for few ranks, far apart from each other on light and on dark ground. */
const PALETTE = ['#2f6fd0', '#d98a00', '#12946b', '#8250df', '#d1495b', '#1a9fb3', '#7f8c1f', '#b5529c']

/** A colour for each rank: for many, hues all around the circle, light and dark in turn. */
export function rankColours(numRanks: number): string[] {
  if (numRanks <= PALETTE.length) return PALETTE.slice(0, numRanks)
  return Array.from({ length: numRanks }, (_, rank) =>
    hslToHex((rank * 360) / numRanks, 0.6, rank % 2 === 0 ? 0.45 : 0.6),
  )
}

/** Hue in degrees, the others in `[0, 1]`. */
function hslToHex(hue: number, saturation: number, lightness: number): string {
  const amplitude = saturation * Math.min(lightness, 1 - lightness)
  const channel = (offset: number): string => {
    const k = (offset + hue / 30) % 12
    const value = lightness - amplitude * Math.max(-1, Math.min(k - 3, 9 - k, 1))
    return Math.round(value * 255)
      .toString(16)
      .padStart(2, '0')
  }
  return `#${channel(0)}${channel(8)}${channel(4)}`
}
