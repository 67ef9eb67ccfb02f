/** Who chooses the number of remote stages: the caller (`static`), or the overlap solver (`dynamic`). */
export const AttnOverlapMode = {
  STATIC: 'static',
  DYNAMIC: 'dynamic',
} as const

export type AttnOverlapMode = (typeof AttnOverlapMode)[keyof typeof AttnOverlapMode]
