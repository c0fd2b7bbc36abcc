/** Writes the JSON Schema of each document beside its zod module: `npm run schemas`. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { batchMetadata, batchRequest } from './batch.ts';
import { buildConfig } from './build-config.ts';
import { manifest } from './manifest.ts';
import { planReply, planRequest } from './plan.ts';
import { serveConfig } from './serve-config.ts';

const documents = {
  manifest,
  'build-config': buildConfig,
  'serve-config': serveConfig,
  'plan-request': planRequest,
  'plan-reply': planReply,
  'batch-request': batchRequest,
  batch: batchMetadata,
} as const;

/** File names and contents of all generated schemas. */
export function generateSchemas(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(documents).map(([name, schema]) => {
      const json = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
      return [`${name}.schema.json`, `${JSON.stringify({ title: name, ...json }, null, 2)}\n`];
    }),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = process.argv[2] ?? 'schemas';
  for (const [name, text] of Object.entries(generateSchemas())) {
    writeFileSync(`${folder}/${name}`, text);
  }
}
