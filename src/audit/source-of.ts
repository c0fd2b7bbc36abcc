/** Where a sample comes from, as its meta says. */

/** Samples that do not say. */
export const noSource = '(none)';
const keys = ['source', 'file', 'document'] as const;

/** `source`, else `file`, else `document` of a meta's JSON; neighbours often share theirs. */
export function sourceReader(): (meta: string) => string {
  let known = { meta: '', source: noSource };
  return (meta) => {
    if (meta !== known.meta) known = { meta, source: sourceOf(meta) };
    return known.source;
  };
}

function sourceOf(meta: string): string {
  let parsed: Record<string, unknown>;
  try {
    parsed = Object(JSON.parse(meta));
  } catch {
    return noSource; // whatever else it is, it names no source
  }
  const found = keys.map((key) => parsed[key]).find((value) => value != null && value !== '');
  return typeof found === 'string' || typeof found === 'number' ? String(found) : noSource;
}
