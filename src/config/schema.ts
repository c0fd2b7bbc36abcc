/** Walks a JSON Schema by path: what may stand where, over all variants of a union. */
import type { JsonSchema } from '../../schemas/json-schema.ts';

export type Path = readonly PropertyKey[];

/** The schemas that a value at a path may have, unions resolved; none where it is not known. */
export function nodesAt(schema: JsonSchema, path: Path): readonly JsonSchema[] {
  let nodes = variantsOf(schema);
  for (const key of path) {
    nodes = nodes.flatMap((node) => {
      const next = typeof key === 'number' ? node.items : propertyOf(node, key);
      return next === undefined ? [] : variantsOf(next);
    });
  }
  return nodes;
}

/** Of an object, or of a record, where every key stands for the same. */
export function propertyOf(node: JsonSchema, key: PropertyKey): JsonSchema | undefined {
  const { properties = {}, additionalProperties: others } = node;
  if (Object.hasOwn(properties, key)) return properties[String(key)];
  return typeof others === 'object' ? others : undefined;
}

/** All dotted paths, those inside lists without an index, `NAME` for the keys of records. */
export function pathsOf(schema: JsonSchema): string[] {
  const paths = variantsOf(schema).flatMap(({ properties = {}, items, additionalProperties }) => [
    ...Object.entries({
      ...properties,
      ...(typeof additionalProperties === 'object' && { NAME: additionalProperties }),
    }).flatMap(([key, node]) => [key, ...pathsOf(node).map((path) => `${key}.${path}`)]),
    ...(items === undefined ? [] : pathsOf(items)),
  ]);
  return [...new Set(paths)];
}

/** True where a single text may give the value: anything but an object of its own settings. */
export function isLeaf(schema: JsonSchema, dotted: string): boolean {
  return nodesAt(schema, dotted.split('.')).some(({ type }) => type !== 'object');
}

export function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (at, key) => (typeof at === 'object' && at !== null ? at[key as never] : undefined),
    value,
  );
}

function variantsOf(schema: JsonSchema): readonly JsonSchema[] {
  return (schema.oneOf ?? schema.anyOf)?.flatMap(variantsOf) ?? [schema];
}
