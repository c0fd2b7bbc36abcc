/**
 * Builds dist: the kernels, the console and the library side by side, then the program (bundle.js).
 * What the last build left is built upon only where nothing else has touched it.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
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
/** What tsc knows of its last run, and what the last whole build left. */
const knownToTsc = 'dist/.tsbuildinfo';
const stamp = 'dist/.stamp';

/** Throws where a tool fails, which has said why. */
async function run(tool, args) {
  const child = spawn(process.execPath, [tools[tool], ...args.split(' ')], { stdio: 'inherit' });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`build: ${tool} ${args} failed`);
}

const digestOf = (parts) => createHash('sha256').update(JSON.stringify(parts)).digest('hex');

/** What the kernels are made of. */
function kernelSources() {
  const sources = readdirSync('kernel').map((name) => join('kernel', name));
  const all = [...sources.sort(), 'node_modules/assemblyscript/package.json'];
  return digestOf([kernelFlags, ...all.map((file) => readFileSync(file, 'utf8'))]);
}

/** All files that were built, and when. */
function outputs() {
  const files = readdirSync('dist', { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.startsWith('.'))
    .map((entry) => join(entry.parentPath, entry.name));
  return digestOf(files.sort().map((file) => [file, statSync(file).mtimeMs]));
}

async function build() {
  const kernels = kernelSources();
  const last = existsSync(stamp) ? readFileSync(stamp, 'utf8') : '';
  const [lastKernels, lastOutputs] = last.split(' ');
  const isUntouched = last !== '' && outputs() === lastOutputs;
  for (const file of isUntouched ? [stamp] : [stamp, knownToTsc]) rmSync(file, { force: true });
  const stale = isUntouched && kernels === lastKernels ? [] : ['row', 'decode', 'encode'];
  const done = await Promise.allSettled([
    run('tsc', '-p tsconfig.build.json'),
    run('vite', `build web ${webFlags}`),
    ...stale.map((name) =>
      run('asc', `kernel/${name}.ts --outFile dist/src/${name}.wasm ${kernelFlags}`),
    ),
  ]);
  const failed = done.filter(({ status }) => status === 'rejected');
  if (failed.length > 0) throw new Error(failed.map(({ reason }) => reason.message).join('\n'));
  await import('./bundle.js');
  writeFileSync(stamp, `${kernels} ${outputs()}`);
}

await build().catch(({ message }) => {
  console.error(message);
  process.exitCode = 1;
});
