/** The audit on the page of a snapshot: started here, followed while it runs, then shown. */
import { get, isRefused, post, type Refused } from '../api.ts';
import { h } from '../element.ts';
import { bytes, time } from '../format.ts';
import { repeat } from '../page.ts';
import { auditBadge } from '../parts/glance.ts';
import { problemBox } from '../parts/problem.ts';
import type { AuditReport, AuditState } from '../types.ts';
import { alignmentPart } from './alignment.ts';
import { coveragePart } from './coverage.ts';
import { fidelityPart } from './fidelity.ts';
import { findingsPart } from './findings.ts';
import { integrityPart } from './integrity.ts';
import { sizePart } from './size.ts';

const pollMs = 1000;

/** What is known of an audit: its report, that it waits or runs, or nothing yet. */
type Known = AuditReport | AuditState | null;

/** A refusal concerns the audit alone: the rest of its page is shown. */
export interface FirstLook {
  readonly known: Known;
  readonly refused?: Refused;
}

export async function firstLook(api: string, signal: AbortSignal): Promise<FirstLook> {
  try {
    return { known: await lastAudit(api, signal) };
  } catch (error) {
    if (!isRefused(error) || error.problem.status === 401) throw error;
    return { known: null, refused: error };
  }
}

/** Null where no audit was asked for yet. */
async function lastAudit(api: string, signal: AbortSignal): Promise<Known> {
  try {
    return await get<AuditReport | AuditState>(`${api}/audit`, signal);
  } catch (error) {
    if (isRefused(error) && error.problem.status === 404) return null;
    throw error;
  }
}

const reportOf = (known: Known) => (known !== null && 'format' in known ? known : null);
const turnOf = (known: Known) => (known !== null && 'state' in known ? known.state : undefined);
const ended = (known: Known) => reportOf(known)?.partial === false;

export interface AuditOptions {
  /** Address of the snapshot. */
  readonly api: string;
  readonly first: FirstLook;
  readonly signal: AbortSignal;
}

export function auditSection({ api, first, signal }: AuditOptions): HTMLElement {
  const verdict = h('span');
  const state = h('div');
  const shown = h('div');
  const start = h('button', { type: 'button', class: 'primary', id: 'audit', onclick: begin });
  let { known } = first;
  let turn = turnOf(known) ?? 'waiting';

  function show(running: boolean): void {
    const report = reportOf(known);
    start.disabled = running;
    start.textContent = report === null ? 'Audit this snapshot' : 'Audit again';
    verdict.replaceChildren(auditBadge(glance(report)));
    state.replaceChildren(running ? progress(report, turn) : when(report));
    // whoever reads a part with the keyboard is not thrown out of it before the end
    const reading = running && shown.contains(document.activeElement);
    if (report !== null && !reading) shown.replaceChildren(...parts(report));
  }

  async function begin(): Promise<void> {
    try {
      turn = (await post<AuditState>(`${api}/audit`)).state;
      follow();
    } catch (error) {
      state.replaceChildren(problemBox(error));
    }
  }

  /** Until there is another whole report than the one that was known before. */
  function follow(): void {
    const before = ended(known) ? reportOf(known)?.updated_ms : undefined;
    const end = new AbortController();
    const until = AbortSignal.any([signal, end.signal]);
    show(true);
    const poll = async () => {
      try {
        known = await lastAudit(api, until);
        turn = turnOf(known) ?? turn;
        const done = ended(known) && reportOf(known)?.updated_ms !== before;
        if (done) end.abort();
        show(!done);
      } catch (error) {
        if (until.aborted) return;
        end.abort();
        show(false);
        state.replaceChildren(problemBox(error));
      }
    };
    repeat(poll, pollMs, until);
  }

  if (known !== null && !ended(known)) follow();
  else show(false);
  if (first.refused !== undefined) state.replaceChildren(problemBox(first.refused));
  return h(
    'section',
    { 'aria-labelledby': 'audit-title' },
    h('h2', { id: 'audit-title' }, 'Audit ', verdict),
    h('p', { class: 'actions' }, start),
    state,
    shown,
  );
}

function glance(report: AuditReport | null) {
  if (report === null) return null;
  const of = (wanted: string) =>
    report.findings.filter(({ severity }) => severity === wanted).length;
  const { partial, updated_ms } = report;
  return { partial, updated_ms, faults: of('fault'), warnings: of('warning') };
}

function when(report: AuditReport | null): HTMLElement {
  const said = report === null ? 'Not audited yet.' : `As of ${time(report.updated_ms)}.`;
  return h('p', { role: 'status', class: 'muted' }, said);
}

function progress(report: AuditReport | null, turn: AuditState['state']): HTMLElement {
  if (!report?.partial) {
    const said = turn === 'running' ? 'The audit runs …' : 'The audit waits for its turn …';
    return h('p', { role: 'status' }, said);
  }
  const { bytes: done, bytes_total: all } = report.progress;
  const value = all === 0 ? 0 : done / all;
  return h(
    'div',
    null,
    h('progress', { max: '1', value, 'aria-label': 'Audit' }),
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
