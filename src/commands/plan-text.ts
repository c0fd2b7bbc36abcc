/** Plans and proofs in words. */
import type { PlanReply } from '../../schemas/plan.ts';
import type { Comparison, Run } from '../client/run-record.ts';
import { formatCount, formatTable } from './command.ts';

export function planText(reply: PlanReply): string {
  const { identity, rules, streams, packing_efficiency: efficiency } = reply;
  const { shuffle, seed, global_batch: batch, tail } = identity;
  const what = rules.packing === null ? 'samples' : `packs of ${rules.packing.length} positions`;
  const order = shuffle.mode === 'block' ? `blocks of ${formatCount(shuffle.block)}` : shuffle.mode;
  const rows = streams.map(({ dataset, samples, items, drawn, unseen }) => [
    dataset,
    ...[samples, items, drawn, unseen].map(formatCount),
  ]);
  return [
    `plan ${reply.plan}`,
    `  epoch     ${formatCount(reply.steps_per_epoch)} steps of ${batch} ${what}, ` +
      `${formatCount(reply.items_per_epoch)} in all; the last step: ${tail}`,
    `  shuffle   ${order}, seed ${seed}`,
    ...(rules.filter === null ? [] : [`  filter    ${JSON.stringify(rules.filter)}`]),
    ...(efficiency === null
      ? []
      : [`  packing   ${(100 * efficiency).toFixed(1)} % of the positions hold one of a sample`]),
    '',
    formatTable([['stream', 'samples', 'items', 'an epoch draws', 'leaves unseen'], ...rows]),
  ].join('\n');
}

export function compareText({ compared, missing, difference }: Comparison): string {
  const [first, second] = missing.map(formatCount);
  const only = `only in the first: ${first}, only in the second: ${second}`;
  if (difference === null) return `the same order in ${formatCount(compared)} steps; ${only}`;
  const { epoch, step, row } = difference;
  return `another order from epoch ${epoch}, step ${step}, row ${row} on; ${only}`;
}

/** What to know of a run before it is compared. */
export function runNotes(name: string, { incomplete, repeated }: Run): string[] {
  const notes: string[] = [];
  if (incomplete > 0) notes.push(`${name}: ${incomplete} steps lack the line of some rank`);
  if (repeated > 0) notes.push(`${name}: ${repeated} lines were received again after a restart`);
  return notes;
}
