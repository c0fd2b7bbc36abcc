/** The audit on the page of a snapshot: started here, followed while it runs, then shown. */
import { get, isRefused, post } from '../api.ts';
import { h } from '../element.ts';
import { bytes, time } from '../format.ts';
import { repeat } from '../page.ts';
import { problemBox } from '../parts/problem.ts';
import type { AuditReport } from '../types.ts';
import { alignmentPart } from './alignment.ts';
import { coveragePart } from './coverage.ts';
import { fidelityPart } from './fidelity.ts';
import { findingsPart } from './findings.ts';
import { integrityPart } from './integrity.ts';
import { sizePart } from './size.ts';

const pollMs = 1000;

export interface AuditOptions {
  /** Address of the snapshot. */
  readonly api: string;
  readonly report: AuditReport | null;
  readonly signal: AbortSignal;
}

export function auditSection({ api, report, signal }: AuditOptions): HTMLElement {
  const state = h('div', { class: 'audit-state' });
  const shown = h('div');
  const start = h('button', { type: 'button', class: 'primary', id: 'audit', onclick: begin });
  let follows = false;

  function show(found: AuditReport | null): void {
    const running = follows || found?.partial === true;
    start.disabled = running;
    start.textContent = found === null ? 'Audit this snapshot' : 'Audit again';
    state.replaceChildren(progress(found, running));
    // whoever reads a part with the keyboard is not thrown out of it
    const reading = shown.contains(document.activeElement);
    if (found !== null && !reading) shown.replaceChildren(...parts(found));
  }

  async function begin(): Promise<void> {
    try {
      await post(`${api}/audit`);
      follow();
    } catch (error) {
      state.replaceChildren(problemBox(error));
    }
  }

  function follow(): void {
    follows = true;
    show(report);
    const ended = new AbortController();
    const until = AbortSignal.any([signal, ended.signal]);
    const poll = async () => {
      try {
        const found = await get<AuditReport>(`${api}/audit`, until);
        if (!found.partial) {
          follows = false;
          ended.abort();
        }
        show(found);
      } catch (error) {
        if (until.aborted || (isRefused(error) && error.problem.status === 404)) return;
        follows = false;
        ended.abort();
        state.replaceChildren(problemBox(error));
        start.disabled = false;
      }
    };
    repeat(poll, pollMs, until);
  }

  if (report?.partial) follow();
  else show(report);
  return h(
    'section',
    { 'aria-labelledby': 'audit-title' },
    h('h2', { id: 'audit-title' }, 'Audit'),
    h('p', { class: 'actions' }, start),
    state,
    shown,
  );
}

function progress(report: AuditReport | null, running: boolean): HTMLElement {
  if (!running) {
    const said = report === null ? 'Not audited yet.' : `As of ${time(report.updated_ms)}.`;
    return h('p', { role: 'status', class: 'muted' }, said);
  }
  const { bytes: done, bytes_total: all } = report?.partial
    ? report.progress
    : { bytes: 0, bytes_total: 0 };
  const share = all === 0 ? 0 : done / all;
  return h(
    'div',
    null,
    h('progress', { max: '1', value: share, 'aria-label': 'Audit' }),
    h('p', { role: 'status' }, `The audit runs: ${bytes(done)} of ${bytes(all)} read.`),
  );
}

function parts(report: AuditReport): HTMLElement[] {
  return [
    findingsPart(report),
    sizePart(report.size),
    integrityPart(report.integrity),
    ...report.alignment.map(alignmentPart),
    ...report.fidelity.map(fidelityPart),
    coveragePart(report.coverage),
  ];
}
