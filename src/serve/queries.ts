/**
 * Queries that come again, as a rank's does at every step, are parsed and validated once: the same
 * text gives the same object, which routes must not change.
 */
import { type ParsedUrlQuery, parse } from 'node:querystring';
import { validatorCompiler } from 'fastify-type-provider-zod';
import { createLru } from '../store/lru.ts';

/** Of all texts that are kept. */
const charactersMax = 256 * 1024;

export function createQueryParser(): (text: string) => ParsedUrlQuery {
  const kept = createLru<ParsedUrlQuery>(charactersMax);
  return (text) => {
    const known = kept.get(text);
    if (known !== undefined) return known;
    const query = parse(text);
    kept.set(text, query, text.length);
    return query;
  };
}

export const validateOnce: typeof validatorCompiler = (route) => {
  const validate = validatorCompiler(route);
  if (route.httpPart !== 'querystring') return validate;
  const found = new WeakMap<object, ReturnType<typeof validate>>();
  return (query: object) => {
    const known = found.get(query) ?? validate(query);
    found.set(query, known);
    return known;
  };
};
