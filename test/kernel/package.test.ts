/** The Python package holds the decoder that was built here: it installs without Node. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

it('python/logitcask/decode.wasm is dist/src/decode.wasm: copy it there after a change', () => {
  const [built, packed] = ['dist/src', 'python/logitcask'].map((folder) =>
    readFileSync(new URL(`../../${folder}/decode.wasm`, import.meta.url)),
  );
  expect(packed.equals(built)).toBe(true);
});
