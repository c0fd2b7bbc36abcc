/**
 * Rows of any foreign Parquet file, read page by page: memory is bounded by pages and rows,
 * whatever the row groups are. Nothing that the file declares is believed unchecked.
 */
import { type FileHandle, open } from 'node:fs/promises';
import {
  type ColumnMetaData,
  type FileMetaData,
  parquetMetadata,
  parquetSchema,
  type SchemaTree,
} from 'hyparquet';
import { parquetHeader } from 'hyparquet/src/column.js';
import { LogitcaskError } from '../errors.ts';
import type { ReadMeter } from './jsonl.ts';
import {
  type Leaf,
  type Page,
  pageBytesMax,
  readDataPage,
  readDictionary,
  type Values,
} from './parquet-rows-page.ts';
import type { RowCell, RowsFile } from './rows-file.ts';
import { checkThrift } from './thrift-check.ts';

export interface ParquetRows extends RowsFile {
  /** Number of rows. */
  readonly count: number;
}

const tailBytes = 8;
const footerBytesMax = 64 * 1024 * 1024;
const pageHeaderBytesMax = 64 * 1024;
const rowValuesMax = 2 ** 23;
// a schema's paths are kept for each of its elements
const elementsMax = 4096;

interface File {
  readonly name: string;
  readonly handle: FileHandle;
  readonly bytes: number;
}

/** Throws `source-unreadable`. */
export async function openParquetRows(name: string): Promise<ParquetRows> {
  const handle = await open(name).catch((cause) => {
    const message = `capture: cannot read ${name} (${cause.code}); correct its path`;
    throw new LogitcaskError('source-unreadable', message, { expected: 'a Parquet file', cause });
  });
  try {
    const file = { name, handle, bytes: (await handle.stat()).size };
    const { metadata, columns } = await readable(name, async () => {
      const metadata = await readMetadata(file);
      const { children } = parquetSchema(metadata); // of lying counts, it throws
      return { metadata, columns: children.flatMap(namesOf) };
    });
    return {
      columns,
      count: Number(metadata.num_rows),
      rows: (chosen, meter) => rowsOf(file, metadata, { columns: chosen, meter }),
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Whatever the file makes a reader throw is `source-unreadable`. */
async function readable<T>(file: string, read: () => T | Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (cause instanceof LogitcaskError) throw cause;
    const reason = (cause as Error).message;
    const message =
      `capture: ${file} cannot be read as Parquet: ${reason}; write it again, e.g. with ` +
      "pyarrow's defaults";
    throw new LogitcaskError('source-unreadable', message, { got: reason, cause });
  }
}

async function readAt({ handle, bytes }: File, offset: number, length: number): Promise<Buffer> {
  if (!(offset >= 0 && length >= 0 && offset + length <= bytes)) {
    throw new Error(`${length} bytes at ${offset} of ${bytes}`);
  }
  const into = Buffer.allocUnsafeSlow(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await handle.read(into, done, length - done, offset + done);
    if (bytesRead === 0) throw new Error('it is shorter than it was');
    done += bytesRead;
  }
  return into;
}

async function readMetadata(file: File): Promise<FileMetaData> {
  const tail = await readAt(file, file.bytes - tailBytes, tailBytes);
  if (tail.toString('latin1', 4) !== 'PAR1') throw new Error('it does not end with PAR1');
  const length = tail.readUInt32LE(0);
  if (length > footerBytesMax) throw new Error(`a footer of ${length} bytes`);
  const footer = await readAt(file, file.bytes - tailBytes - length, length + tailBytes);
  checkThrift(footer.subarray(0, length));
  const metadata = parquetMetadata(footer, { geoparquet: false });
  const elements = metadata.schema.length;
  if (elements > elementsMax) throw new Error(`a schema of ${elements} elements`);
  return metadata;
}

async function* rowsOf(
  file: File,
  metadata: FileMetaData,
  { columns, meter }: { columns: readonly string[]; meter?: ReadMeter },
): ReturnType<RowsFile['rows']> {
  const cells = columns.map((column) => cellsOf(file, metadata, column));
  try {
    for (let row = 0; ; row++) {
      const found: Record<string, RowCell> = {};
      let ended = 0;
      for (const [i, column] of columns.entries()) {
        const { value, done } = await readable(file.name, () => cells[i].next());
        if (done) ended++;
        else found[column] = value;
      }
      if (ended === columns.length) return;
      if (ended > 0) {
        const message = `capture: the columns of ${file.name} end at different rows, at ${row}`;
        throw new LogitcaskError('source-unreadable', message, { expected: columns, got: ended });
      }
      if (meter !== undefined) meter.bytes = (file.bytes * (row + 1)) / Number(metadata.num_rows);
      yield found;
    }
  } finally {
    for (const column of cells) await column.return(undefined);
  }
}

interface Column extends Leaf {
  readonly path: string;
}

/** `messages`, and of a list of structs `messages.role`. */
function namesOf(column: SchemaTree): string[] {
  const { name } = column.element;
  let inside = column;
  while (inside.children.length === 1) [inside] = inside.children;
  return [name, ...inside.children.map(({ element }) => `${name}.${element.name}`)];
}

/** A column of values, possibly in lists; what holds several columns is refused. */
function columnOf(metadata: FileMetaData, name: string): Column {
  const listLevels: number[] = [];
  let definitionMax = 0;
  const columns = parquetSchema(metadata).children;
  const named = (path: string) => columns.find(({ element }) => element.name === path);
  const part = name.slice(name.lastIndexOf('.') + 1);
  let node = named(name) ?? named(name.slice(0, -part.length - 1));
  if (node === undefined) throw new Error(`it has no column ${name}`);
  for (let inside: typeof node | undefined = node; inside !== undefined; ) {
    node = inside;
    const { repetition_type: repetition } = node.element;
    if (repetition !== 'REQUIRED') definitionMax++;
    if (repetition === 'REPEATED') listLevels.push(definitionMax);
    inside = node.children.at(0);
    if (node.children.length < 2) continue;
    inside = node.children.find(({ element }) => name.endsWith(`.${element.name}`));
    if (inside === undefined) throw new Error(`${name} holds several columns`);
  }
  if (listLevels.length > 2) throw new Error(`${name} holds lists of lists of lists`);
  return { element: node.element, definitionMax, listLevels, path: node.path.join('.') };
}

async function* cellsOf(
  file: File,
  metadata: FileMetaData,
  name: string,
): AsyncGenerator<RowCell, undefined> {
  const column = columnOf(metadata, name);
  const builder = column.listLevels.length === 0 ? undefined : createBuilder(column);
  for (const { columns } of metadata.row_groups) {
    const chunk = columns.find(
      ({ meta_data: meta }) => meta?.path_in_schema.join('.') === column.path,
    );
    if (chunk?.meta_data === undefined || chunk.file_path) throw new Error(`no values of ${name}`);
    for await (const page of pagesOf(file, chunk.meta_data, column)) {
      yield* builder === undefined ? flatCells(page) : builder.cells(page);
    }
  }
  const last = builder?.end();
  if (last !== undefined) yield last;
}

async function* pagesOf(file: File, meta: ColumnMetaData, leaf: Leaf): AsyncGenerator<Page> {
  const { codec } = meta;
  // some writers give 0 where there is no dictionary
  let at = Number(meta.dictionary_page_offset || meta.data_page_offset);
  const end = at + Number(meta.total_compressed_size);
  let dictionary: Values | undefined;
  for (let left = Number(meta.num_values); left > 0; ) {
    const head = await readAt(file, at, Math.min(pageHeaderBytesMax, end - at));
    const headBytes = checkThrift(head);
    const header = parquetHeader({ view: new DataView(head.buffer, 0, headBytes), offset: 0 });
    const length = header.compressed_page_size;
    if (!(length <= pageBytesMax && at + headBytes + length <= end)) {
      throw new Error(`a page of ${length} bytes at ${at}`);
    }
    const body = await readAt(file, at + headBytes, length);
    at += headBytes + length;
    if (header.type === 'DICTIONARY_PAGE') {
      dictionary = readDictionary(body, { header, codec, leaf });
    } else if (header.type === 'DATA_PAGE' || header.type === 'DATA_PAGE_V2') {
      const page = readDataPage(body, { header, codec, leaf, dictionary });
      left -= page.count;
      yield page;
    }
  }
}

function* flatCells({ count, definition, values }: Page): Generator<RowCell> {
  for (let i = 0, at = 0; i < count; i++) {
    yield definition === undefined || definition[i] > 0 ? values[at++] : null;
  }
}

/** Puts the entries of pages together to cells; a row may go on in the next page. */
function createBuilder({ listLevels, definitionMax }: Leaf) {
  const [outer, inner] = listLevels;
  let numbers = new Float64Array(1024);
  let texts: string[] = [];
  let isText = false;
  let length = 0;
  let lists: number[] = [];
  let started = false;
  const push = (value: number | string) => {
    if (length >= rowValuesMax) throw new Error(`a row of more than ${rowValuesMax} values`);
    if (typeof value === 'string') texts.push(value);
    else {
      if (length === numbers.length) numbers = grown(numbers);
      numbers[length] = value;
    }
    length++;
  };
  const cell = (): RowCell => {
    const values = isText ? texts : numbers.slice(0, length);
    if (inner === undefined) return values;
    if (isText) throw new Error('lists of lists of text');
    return { values: values as Float64Array, offsets: Uint32Array.from([...lists, length]) };
  };
  return {
    *cells({ count, repetition, definition, values }: Page): Generator<RowCell> {
      isText ||= !(values instanceof Float64Array);
      let at = 0;
      for (let i = 0; i < count; i++) {
        const defined = definition?.[i] ?? definitionMax;
        const repeated = repetition?.[i] ?? 0;
        if (repeated === 0) {
          if (started) yield cell();
          started = true;
          length = 0;
          texts = [];
          lists = [];
        } else if (!started) throw new Error('a list without beginning');
        if (defined < outer) continue;
        if (inner !== undefined && repeated <= 1) lists.push(length);
        if (lists.length > rowValuesMax)
          throw new Error(`a row of more than ${rowValuesMax} lists`);
        if (defined === definitionMax) push(values[at++]);
        else if (defined >= (inner ?? outer)) push(isText ? '' : Number.NaN);
      }
    },
    /** The last row, where there is one. */
    end: () => (started ? cell() : undefined),
  };
}

function grown(values: Float64Array): Float64Array<ArrayBuffer> {
  const more = new Float64Array(2 * values.length);
  more.set(values);
  return more;
}
