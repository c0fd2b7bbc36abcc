/** Writes the JSON Schema of each document beside its zod module: `npm run schemas`. */
import { writeFileSync } from 'node:fs';
import { schemaFiles } from './json-schema.ts';

for (const [name, text] of Object.entries(schemaFiles())) writeFileSync(`schemas/${name}`, text);
