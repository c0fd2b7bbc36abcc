/** The digest of a range of steps: what a run recorded must have the same. */
import { get } from '../api.ts';
import { h } from '../element.ts';
import { count } from '../format.ts';
import { facts } from '../parts/facts.ts';
import { problemBox } from '../parts/problem.ts';
import type { OrderDigest, PlanReply } from '../types.ts';

const fields = [
  ['epoch', 'Epoch'],
  ['from', 'From step'],
  ['to', 'to before step'],
  ['rank', 'Rank'],
  ['world', 'of'],
] as const;

export function proofPart({ plan, steps_per_epoch }: PlanReply): HTMLElement {
  const first = { epoch: 0, from: 0, to: steps_per_epoch, rank: 0, world: 1 };
  const inputs = fields.map(([name]) =>
    h('input', {
      id: `proof-${name}`,
      name,
      type: 'number',
      min: 0,
      value: first[name],
      required: true,
    }),
  );
  const said = h('div', { role: 'status' });
  const prove = async (event: Event) => {
    event.preventDefault();
    const [epoch, ...rest] = inputs;
    const query = new URLSearchParams(rest.map(({ name, value }) => [name, value]));
    const path = `/v1/plans/${plan}/epochs/${epoch.value}/digest?${query}`;
    try {
      said.replaceChildren(proof(await get<OrderDigest>(path)));
    } catch (error) {
      said.replaceChildren(problemBox(error));
    }
  };
  return h(
    'section',
    { 'aria-labelledby': 'proof' },
    h('h2', { id: 'proof' }, 'Proof of the order'),
    h(
      'p',
      null,
      'The digest of the sample ids in order. ',
      h('code', null, 'logitcask plan prove'),
      ' compares it with what trainers recorded.',
    ),
    h(
      'form',
      { class: 'form row', onsubmit: prove },
      fields.map(([name, label], i) =>
        h('div', null, h('label', { for: `proof-${name}` }, label), inputs[i]),
      ),
      h('button', { type: 'submit' }, 'Compute'),
    ),
    said,
  );
}

function proof({ rows, from, to, digest }: OrderDigest): HTMLElement {
  return facts([
    ['Rows', `${count(rows)} of steps ${count(from)} to ${count(to)}`],
    ['Digest', h('code', { class: 'digest' }, digest)],
  ]);
}
