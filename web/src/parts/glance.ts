/** Fidelity, alignment and the audit's verdict in a few words, for lists and headings. */
import { type Child, h } from '../element.ts';
import { number, plural } from '../format.ts';
import type { Statistics } from '../types.ts';
import { badge } from './badge.ts';

type Shifts = Statistics['target_sets'][number]['alignment'];

export function fidelityText(set: Statistics['target_sets'][number]): Child {
  const { fidelity, kind } = set;
  if (fidelity === null) return h('span', { class: 'muted' }, 'not measured');
  if (kind === 'unbiased') return `weights sum to ${fidelity.mass.toFixed(4)}`;
  const kl = fidelity.kl === null ? '' : `KL ${number(fidelity.kl.mean)} nats, `;
  return `${kl}mass ${number(fidelity.mass)}`;
}

/** The shift at which the next token is most probable; position t is of token t + 1. */
export function alignmentBadge(shifts: Shifts): HTMLElement {
  if (shifts === null) return badge('neutral', 'not measured');
  const { before, at, after } = shifts;
  if (at >= before && at >= after) return badge('good', 'best at shift 0');
  return badge('fault', `best at shift ${before > after ? '−1' : '+1'}`);
}

export function auditBadge(audit: Statistics['audit']): HTMLElement {
  if (audit === null) return badge('neutral', 'not audited');
  if (audit.partial) return badge('neutral', 'audit runs');
  const { faults, warnings } = audit;
  if (faults > 0) return badge('fault', plural(faults, 'fault'));
  if (warnings > 0) return badge('warning', plural(warnings, 'warning'));
  return badge('good', 'no findings');
}
