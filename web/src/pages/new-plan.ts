/** `/plans/new`: a form that makes a plan; what the server refuses is said beside it. */
import { get, post } from '../api.ts';
import { h } from '../element.ts';
import { navigate } from '../navigate.ts';
import type { PageMaker } from '../page.ts';
import { problemBox } from '../parts/problem.ts';
import { rulesField } from '../plan/rules.ts';
import { streamsField } from '../plan/streams.ts';
import type { DatasetList, PlanReply } from '../types.ts';

export const newPlanPage: PageMaker = async ({ query, signal }) => {
  const { datasets } = await get<DatasetList>('/v1/datasets?limit=1000', signal);
  const names = datasets.map(({ name }) => name);
  const chosen = {
    dataset: query.get('dataset') ?? undefined,
    snapshot: query.get('snapshot') ?? undefined,
  };
  const streams = streamsField({ datasets: names, chosen });
  const rules = rulesField();
  const refused = h('div', { id: 'refused' });
  const make = async (event: Event) => {
    event.preventDefault();
    try {
      const request = { streams: streams.value(), ...rules.value() };
      const { plan } = await post<PlanReply>('/v1/plans', request);
      navigate(`/plans/${plan}`);
    } catch (error) {
      refused.replaceChildren(problemBox(error));
      refused.scrollIntoView({ block: 'nearest' });
    }
  };
  const body = h(
    'div',
    null,
    h('p', { class: 'trail' }, h('a', { href: '/plans' }, 'Plans')),
    h('h1', null, 'Make a plan'),
    h(
      'p',
      null,
      'The same rules over the same samples give the same plan, however often it is made.',
    ),
    h(
      'form',
      { class: 'form', novalidate: true, onsubmit: make },
      streams.element,
      rules.element,
      refused,
      h('p', null, h('button', { type: 'submit', class: 'primary' }, 'Make the plan')),
    ),
  );
  return { title: 'Make a plan', body };
};
