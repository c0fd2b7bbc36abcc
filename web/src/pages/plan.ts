/** `/plans/PLAN`: what a plan draws from where, its proof, and the lines that train on it. */
import { get, snapshotPath } from '../api.ts';
import { h } from '../element.ts';
import { count, percent, short } from '../format.ts';
import { snapshotPage } from '../navigate.ts';
import type { PageMaker } from '../page.ts';
import { copied } from '../parts/copied.ts';
import { facts } from '../parts/facts.ts';
import { table } from '../parts/table.ts';
import { proofPart } from '../plan/proof.ts';
import { type LinesOptions, linesByArguments, linesByPlan } from '../plan/python.ts';
import type { PlanReply, Statistics } from '../types.ts';

export const planPage: PageMaker = async ({ params, signal }) => {
  const reply = await get<PlanReply>(`/v1/plans/${encodeURIComponent(params.plan)}`, signal);
  const title = `Plan ${short(reply.plan)}`;
  const lines = { url: location.origin, layout: await layoutOf(reply, signal) };
  const body = h(
    'div',
    null,
    h('p', { class: 'trail' }, h('a', { href: '/plans' }, 'Plans')),
    h('h1', null, title),
    overview(reply),
    streams(reply),
    h(
      'section',
      { 'aria-labelledby': 'use' },
      h('h2', { id: 'use' }, 'Train on it'),
      h('p', null, 'With any number of ranks; the cursor of a checkpoint names this plan.'),
      copied(linesByPlan(reply, lines), 'Python, by the plan’s id'),
      h('p', null, 'Or by what makes it: the same plan, as long as the samples are the same.'),
      copied(linesByArguments(reply, lines), 'Python, by arguments'),
    ),
    proofPart(reply),
  );
  return { title, body };
};

/** Frames come from codec `planes` alone: `planes step=0.003 …` in the statistics. */
async function layoutOf(
  { streams }: PlanReply,
  signal: AbortSignal,
): Promise<LinesOptions['layout']> {
  const addresses = new Set(streams.map((stream) => snapshotPath(stream.dataset, stream.snapshot)));
  const found = await Promise.all(
    [...addresses].map((address) => get<Statistics>(`${address}/statistics`, signal)),
  );
  const codecs = found.flatMap(({ target_sets }) => target_sets.map(({ codec }) => codec));
  return codecs.every((codec) => codec.split(' ')[0] === 'planes') ? 'frames' : 'plain';
}

function overview(reply: PlanReply): HTMLElement {
  const { identity, rules, packing_efficiency: full } = reply;
  const { shuffle } = identity;
  const block = shuffle.mode === 'block' ? `, blocks of ${count(shuffle.block)}` : '';
  return facts([
    ['Plan', h('code', { class: 'digest' }, reply.plan)],
    ['Steps an epoch', count(reply.steps_per_epoch)],
    [rules.packing === null ? 'Samples an epoch' : 'Packs an epoch', count(reply.items_per_epoch)],
    ['Global batch', count(identity.global_batch)],
    ['Shuffle', `${shuffle.mode}${block}, seed ${identity.seed}`],
    ['Last step', identity.tail],
    ['Ends', identity.stop === 'first' ? 'with the first stream' : 'when all was seen'],
    [
      'Packing',
      rules.packing && `${count(rules.packing.length)} positions, ${filled(full)} filled`,
    ],
    ['Filter', rules.filter && h('code', { class: 'digest' }, JSON.stringify(rules.filter))],
    ['Algorithm', h('code', { class: 'digest' }, identity.algorithm)],
  ]);
}

const filled = (share: number | null) => (share === null ? '?' : percent(share));

function streams({ streams, identity }: PlanReply): HTMLElement {
  return table({
    caption: 'Streams',
    columns: [
      { name: 'Data set' },
      { name: 'Snapshot' },
      { name: 'Share' },
      { name: 'Samples', numeric: true },
      { name: 'Items', numeric: true },
      { name: 'Drawn', numeric: true },
      { name: 'Unseen', numeric: true },
    ],
    rows: streams.map((stream, i) => [
      stream.dataset,
      h(
        'a',
        { href: snapshotPage(stream.dataset, stream.snapshot) },
        h('code', null, short(stream.snapshot)),
      ),
      shareOf(identity.streams[i]),
      count(stream.samples),
      count(stream.items),
      count(stream.drawn),
      count(stream.unseen),
    ]),
  });
}

function shareOf({ proportion, repeat, choose }: PlanReply['identity']['streams'][number]): string {
  if (proportion !== undefined) return `proportion ${count(proportion)}`;
  if (repeat !== undefined) return `${count(repeat)} passes`;
  return choose === undefined ? 'all, once' : `${count(choose)} items`;
}
