/** Documents as JSON Schema: data that can be walked, and the files that other languages read. */
import { z } from 'zod';
import { auditReport, driftReport, statistics } from './audit.ts';
import { batchMetadata, batchRequest } from './batch.ts';
import { buildConfig } from './build-config.ts';
import { labelConfig } from './label-config.ts';
import { manifest } from './manifest.ts';
import { planReply, planRequest, storedPlan } from './plan.ts';
import { serveConfig } from './serve-config.ts';

/** The part of JSON Schema that our documents use. */
export interface JsonSchema {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  /** Of records: what every key stands for. */
  readonly additionalProperties?: JsonSchema | boolean;
  readonly items?: JsonSchema;
  readonly oneOf?: readonly JsonSchema[];
  readonly anyOf?: readonly JsonSchema[];
}

const documents = {
  audit: auditReport,
  drift: driftReport,
  batch: batchMetadata,
  'batch-request': batchRequest,
  'build-config': buildConfig,
  'label-config': labelConfig,
  manifest,
  'plan-reply': planReply,
  'plan-request': planRequest,
  'plan-stored': storedPlan,
  'serve-config': serveConfig,
  statistics,
} as const;

/** What may be written, before defaults are filled in. */
export function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, { io: 'input' }) as JsonSchema;
}

/** Names and contents of the schema files. */
export function schemaFiles(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(documents).map(([name, schema]) => {
      const json = { title: `logitcask ${name}`, ...jsonSchemaOf(schema) };
      return [`${name}.schema.json`, `${JSON.stringify(json, null, 2)}\n`];
    }),
  );
}
