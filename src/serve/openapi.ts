/** The OpenAPI document: routes from their schemas, every error as one kind of answer. */
import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import { jsonSchemaTransform } from 'fastify-type-provider-zod';
import { problemJsonSchema } from '../../schemas/http.ts';
import { errors } from '../errors.ts';
import { version } from './version.ts';

const { $schema: _, properties = {}, ...problem } = problemJsonSchema;
const code = { type: 'string', enum: Object.keys(errors) };

const refused = {
  description: 'Refused or failed; `code` says why.',
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
};

interface Operations {
  [method: string]: { responses?: Record<string, unknown> };
}

/** Options of the plugin that gathers the routes. */
export const openapi = {
  openapi: {
    openapi: '3.1.0',
    info: { title: 'logitcask', version },
    components: {
      schemas: { Problem: { ...problem, properties: { ...properties, code } } },
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
    },
  },
  transform: jsonSchemaTransform,
  transformObject(document) {
    if (!('openapiObject' in document)) return {};
    const { openapiObject } = document;
    for (const operations of Object.values(openapiObject.paths ?? {})) {
      for (const operation of Object.values(operations as Operations)) {
        operation.responses = { ...operation.responses, default: refused };
      }
    }
    return openapiObject;
  },
} as FastifyDynamicSwaggerOptions;
