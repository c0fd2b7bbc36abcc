/** `/plans`: the orders that were made over data sets of this store. */
import { get } from '../api.ts';
import { h } from '../element.ts';
import { count, short, time } from '../format.ts';
import type { PageMaker } from '../page.ts';
import { table } from '../parts/table.ts';
import type { PlanList } from '../types.ts';

export const plansPage: PageMaker = async ({ query, signal }) => {
  const cursor = query.get('cursor');
  const from = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
  const { plans, next } = await get<PlanList>(`/v1/plans?limit=50${from}`, signal);
  const body = h(
    'div',
    null,
    h('h1', null, 'Plans'),
    h(
      'p',
      null,
      'A plan is the order of an epoch: the same for every rank, resumable at any step.',
    ),
    h('p', { class: 'actions' }, h('a', { class: 'button', href: '/plans/new' }, 'Make a plan')),
    plans.length === 0 ? h('p', { class: 'muted' }, 'No plan was made yet.') : list(plans),
    next !== null &&
      h('p', null, h('a', { href: `/plans?cursor=${encodeURIComponent(next)}` }, 'More plans')),
  );
  return { title: 'Plans', body };
};

function list(plans: PlanList['plans']): HTMLElement {
  return table({
    caption: 'Plans',
    hiddenCaption: true,
    columns: [
      { name: 'Plan' },
      { name: 'Data sets' },
      { name: 'Steps an epoch', numeric: true },
      { name: 'Made' },
    ],
    rows: plans.map(({ plan, streams, steps_per_epoch, created_ms }) => [
      h('a', { href: `/plans/${plan}`, title: plan }, h('code', null, short(plan))),
      streams.map(({ dataset }) => dataset).join(', '),
      count(steps_per_epoch),
      created_ms === undefined ? '' : time(created_ms),
    ]),
  });
}
