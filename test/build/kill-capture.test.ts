import { expect, it } from 'vitest';
import { killCaptures } from '../../bench/capture-kills.ts';

const kills = 6;

it(`asks for nothing twice when build or teacher are killed ${kills} times, and ends with the same bytes`, async () => {
  const found = await killCaptures({ kills, samples: 240, seed: 5 });
  expect(found).toMatchObject({ kills, different: 0, askedTwice: 0 });
  // otherwise no kill came while something was asked, and nothing is shown
  expect(found.inFlight).toBeGreaterThan(0);
}, 600_000);
