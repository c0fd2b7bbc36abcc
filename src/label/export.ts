/** Responses as text for other tools: JSON lines or Parquet, in the two forms of trainers. */
import type { LabelConfig } from '../../schemas/label-config.ts';
import type { ChatMessage } from '../capture/generators/generator.ts';
import type { ColumnTypes } from '../formats/arrow.ts';
import { bytesOf, type Column, concatRows, list } from '../formats/layout.ts';
import { parquetFileWriter } from '../formats/parquet-writer.ts';
import type { StoreWriter } from '../store/store.ts';
import { openStore } from '../store/table.ts';
import { keptOf, type Labelling, type Response } from './responses.ts';
import { type Side, sides } from './split.ts';

type ExportConfig = NonNullable<LabelConfig['export']>;
type Value = string | number | readonly ChatMessage[];
type Row = Readonly<Record<string, Value>>;

const groupBytesMax = 4 * 1024 * 1024;

/** Writes a file a side, whole or not at all; a side without responses has none. */
export async function exportText(labelling: Labelling, options: ExportConfig): Promise<string[]> {
  const { format, form, folder } = options;
  const store = await openStore(folder);
  const written: string[] = [];
  try {
    for (const side of sides) {
      const name = `${side}.${format}`;
      const file = await store.create(name);
      try {
        const rows = await writers[format](file, rowsOf(labelling, { side, form }));
        if (rows > 0) await file.commit();
        else await store.remove(name);
        if (rows > 0) written.push(`${folder}/${name}`);
      } finally {
        await file.abort(); // nothing, where it was committed
      }
    }
    return written;
  } finally {
    await store.close();
  }
}

async function* rowsOf(
  labelling: Labelling,
  { side, form }: { side: Side; form: ExportConfig['form'] },
): AsyncGenerator<Row> {
  for await (const response of keptOf(labelling, side)) {
    const { prompt, index } = response;
    const own = form === 'chat' ? chatOf(response) : pairOf(response);
    yield { ...own, prompt_hash: prompt.digest.toString('hex'), index };
  }
}

function chatOf({ question: { prompt }, answer }: Response): Row {
  const asked = 'text' in prompt ? [{ role: 'user', content: prompt.text }] : prompt.messages;
  return { messages: [...asked, { role: 'assistant', content: answer.text }] };
}

/** Texts where the prompt was one, otherwise lists of messages. */
function pairOf({ question: { prompt }, answer }: Response): Row {
  if ('text' in prompt) return { prompt: prompt.text, completion: answer.text };
  const completion = [{ role: 'assistant', content: answer.text }];
  return { prompt: prompt.messages, completion };
}

type Write = (file: StoreWriter, rows: AsyncIterable<Row>) => Promise<number>;

/** Number of rows written, by format. */
const writers: Readonly<Record<ExportConfig['format'], Write>> = {
  async jsonl(file, rows) {
    let count = 0;
    for await (const row of rows) {
      await file.append(Buffer.from(`${JSON.stringify(row)}\n`));
      count++;
    }
    return count;
  },
  async parquet(file, rows) {
    let count = 0;
    let group: Record<string, Column>[] = [];
    let bytes = 0;
    let parquet: { types: ColumnTypes; writer: ReturnType<typeof parquetFileWriter> } | undefined;
    const flush = async () => {
      if (group.length === 0 || parquet === undefined) return;
      const { chunks } = parquet.writer.batch(concatRows(parquet.types, group));
      await file.append(Buffer.concat(chunks));
      [group, bytes] = [[], 0];
    };
    for await (const row of rows) {
      if (parquet === undefined) {
        const types = typesOf(row);
        parquet = { types, writer: parquetFileWriter(types, {}) };
        await file.append(Buffer.concat(parquet.writer.start()));
      }
      const columns = Object.entries(row).map(([name, value]) => [name, columnOf(value)] as const);
      group.push(Object.fromEntries(columns));
      for (const [, { buffers }] of columns) {
        for (const { byteLength } of buffers) bytes += byteLength;
      }
      count++;
      if (bytes > groupBytesMax) await flush();
    }
    await flush();
    if (parquet !== undefined) await file.append(Buffer.concat(parquet.writer.finish()));
    return count;
  },
};

const utf8 = { type: 'utf8' } as const;
const messages = list({ type: 'struct', members: { role: utf8, content: utf8 } });

function typesOf(row: Row): ColumnTypes {
  const typeOf = (value: Value) =>
    typeof value === 'string' ? utf8 : typeof value === 'number' ? { type: 'int32' } : messages;
  const entries = Object.entries(row).map(([name, value]) => [name, typeOf(value)]);
  return Object.fromEntries(entries);
}

/** One row of a column. */
function columnOf(value: Value): Column {
  if (typeof value === 'number') return { rows: 1, buffers: [bytesOf(Int32Array.of(value))] };
  if (typeof value === 'string') return { rows: 1, buffers: textBuffers([value]) };
  const [roles, contents] = [value.map(({ role }) => role), value.map(({ content }) => content)];
  const ends = bytesOf(Int32Array.of(0, value.length));
  return { rows: 1, buffers: [ends, ...textBuffers(roles), ...textBuffers(contents)] };
}

/** Offsets, and the texts behind each other. */
function textBuffers(texts: readonly string[]): Uint8Array[] {
  const pieces = texts.map((text) => Buffer.from(text));
  const offsets = new Int32Array(texts.length + 1);
  pieces.forEach(({ length }, i) => {
    offsets[i + 1] = offsets[i] + length;
  });
  return [bytesOf(offsets), Buffer.concat(pieces)];
}
