/** What the audit will not bless, faults first, in its own words. */
import { h } from '../element.ts';
import { badge } from '../parts/badge.ts';
import type { AuditReport, Finding } from '../types.ts';

export function findingsPart({ findings, partial }: AuditReport): HTMLElement {
  const none = partial
    ? badge('neutral', 'no findings so far')
    : badge('good', 'no findings: the audit blesses this snapshot');
  return h(
    'section',
    { class: 'findings', 'aria-label': 'Findings' },
    h('h3', null, 'Findings'),
    findings.length === 0 ? h('p', null, none) : h('ul', null, findings.map(item)),
  );
}

function item({ severity, code, section, target_set, message }: Finding): HTMLElement {
  const of = target_set === null ? section : `${section}, ${target_set}`;
  return h(
    'li',
    null,
    badge(severity, severity),
    ' ',
    h('code', null, code),
    h('span', { class: 'muted' }, ` (${of}) `),
    h('span', { class: 'message' }, message),
  );
}
