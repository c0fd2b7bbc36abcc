/**
 * Builds dist: the kernels, the console and the library side by side, then the program from it.
 * Kernels that are newer than all that they are made of stay; tsc knows itself what has changed.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

const tools = {
  asc: 'node_modules/assemblyscript/bin/asc.js',
  tsc: 'node_modules/typescript/bin/tsc',
  vite: 'node_modules/vite/bin/vite.js',
};
const kernelFlags = '--runtime stub --initialMemory 8 --enable simd -O3 --noAssert';
const webFlags =
  '--logLevel warn --outDir ../dist/web --emptyOutDir --assetsInlineLimit 0 ' +
  '--target chrome123 --target firefox128 --target safari17.5';

/** Ends this process where a tool fails, which has said why. */
async function run(tool, args) {
  const child = spawn(process.execPath, [tools[tool], ...args.split(' ')], { stdio: 'inherit' });
  const [code] = await once(child, 'close');
  if (code !== 0) process.exit(1);
}

const changedAt = (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
const sources = readdirSync('kernel').map((name) => join('kernel', name));
const kernelChangedAt = Math.max(...[...sources, 'package-lock.json', 'build.js'].map(changedAt));

async function kernel(name) {
  const out = `dist/src/${name}.wasm`;
  if (changedAt(out) > kernelChangedAt) return;
  await run('asc', `kernel/${name}.ts --outFile ${out} ${kernelFlags}`);
}

await Promise.all([
  run('tsc', '-p tsconfig.build.json'),
  run('vite', `build web ${webFlags}`),
  ...['row', 'decode', 'encode'].map(kernel),
]);
await import('./bundle.js');
