/**
 * The program, and each module that threads run, in few files with all that they import: hundreds
 * of small ones would take most of the time that a command or a thread takes to start. Verbs,
 * sources and the server lie in pieces, which the program imports only where it needs them. The
 * library (src/index.ts) stays as it is compiled.
 */
import { readdirSync, rmSync } from 'node:fs';
import { build } from 'rolldown';

/** What has compiled parts or threads of its own, or is not written as modules. */
const external = [
  '@fastify/rate-limit',
  '@fastify/swagger',
  'fastify',
  'fastify-metrics',
  'onnxruntime-node',
  'pino',
  'sharp',
];

/**
 * Those that are CommonJS are required: to import one, Node looks through its text for the names
 * that it exports, and so long a text that the search itself is compiled.
 */
const required = ['@toondepauw/node-zstd', 'lz4-napi', 'piscina'];
const prefix = '\0required:';
const requiring = {
  name: 'requiring',
  resolveId(source, importer = '') {
    if (!required.includes(source)) return null;
    return importer.startsWith(prefix) ? { id: source, external: true } : prefix + source;
  },
  load: (id) =>
    id.startsWith(prefix) ? `module.exports = require('${id.slice(prefix.length)}')` : null,
};

const programs = {
  cli: 'src/cli.ts',
  'thread-audit': 'src/audit/audit-thread.ts',
  'thread-build': 'src/build/thread.ts',
  'thread-convert': 'src/serve/convert.ts',
  'thread-onnx-session': 'src/capture/onnx-session.ts',
  'thread-pack-texts': 'src/serve/pack-texts.ts',
  'thread-read-reply': 'src/capture/read-reply.ts',
  'thread-vision-onnx-session': 'src/capture/vision-onnx-session.ts',
};

// pieces get their names from what lies in them: those of an earlier build are no longer loaded
for (const file of readdirSync('dist/src')) {
  if (/^cli-.*\.js$/.test(file)) rmSync(`dist/src/${file}`);
}

for (const [name, input] of Object.entries(programs)) {
  await build({
    input: { [name]: input },
    platform: 'node',
    external: [/^node:/, ...external],
    plugins: [requiring],
    output: { dir: 'dist/src', format: 'esm', chunkFileNames: `${name}-[name].js` },
  });
}
