// Numbers and how they are printed.

/** The `q` quantile of ascending numbers, interpolated. */
export function quantile (sorted, q) {
  const at = (sorted.length - 1) * q
  const below = Math.floor(at)
  const above = Math.ceil(at)
  return sorted[below] + (sorted[above] - sorted[below]) * (at - below)
}

/** One measurement: a line of JSON on standard output. */
export function print (bench, system, name, value, unit) {
  console.log(JSON.stringify({ bench, system, case: name, value: Math.round(value * 1000) / 1000, unit }))
}

/** Anything else: standard error. */
export const say = text => console.error(text)
