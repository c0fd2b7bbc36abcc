/** What unbiased targets take and how they vary, beside 50 random draws with counts. */
import { steps } from '../src/encode/levels.ts';
import { planes } from '../src/encode/planes.ts';
import { drawn } from './codec-inputs.ts';
import { atMost, type Figure, smaller } from './figure.ts';

const taus = [0.1, 0.05, 0.03, 0.022, 0.02, 0.01, 0.005];
/** The one of `taus` that the goals are set for. */
const asked = { tau: 0.022, bytes: 24, variance: 4e-3 };

export async function* codecUnbiased(log: (text: string) => void): AsyncGenerator<Figure> {
  for (const tau of taus) {
    log(`codec: threshold τ ${tau}`);
    const { sample, variance, draws } = await drawn(tau, steps.standard);
    const { targets, width } = sample;
    const step = steps.standard;
    const codec = planes({ kind: 'unbiased', step, tau, compression: 'zstd', width });
    const bytes = codec.encode(targets)[0].byteLength / targets.count;
    const entries = (targets.ids.length / targets.count).toFixed(1);
    const name = `v128k-syn, threshold τ ${tau}, ${entries} entries`;
    const peer = `${drawsName}: `;
    if (tau === asked.tau) {
      const sized = atMost(`${name}: targets`, 'B/position', bytes, asked.bytes);
      yield {
        ...sized,
        peer: `${peer}24 bits`,
        peerValue: draws.bytes,
        ratio: draws.bytes / bytes,
      };
      const varied = atMost(`${name}: variance`, 'Σ p²', variance, asked.variance);
      const ratio = draws.variance / variance;
      yield { ...varied, peer: `${peer}variance`, peerValue: draws.variance, ratio };
      continue;
    }
    const size = { figure: `${name}: targets`, unit: 'B/position', value: bytes };
    yield smaller(size, { name: `${peer}24 bits`, value: draws.bytes }, null);
    const varies = { figure: `${name}: variance`, unit: 'Σ p²', value: variance };
    yield smaller(varies, { name: `${peer}variance`, value: draws.variance }, null);
  }
}

const drawsName = '50 draws with counts';
