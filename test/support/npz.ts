/** Writes `.npz` files: a zip as `numpy.savez` and `numpy.savez_compressed` write it. */
import { writeFileSync } from 'node:fs';
import { crc32, deflateRawSync } from 'node:zlib';
import { npy } from './dump.ts';

const localBytes = 30;
const centralBytes = 46;

/** `members` are whole `.npy` files by name. */
export function writeNpz(
  file: string,
  members: Record<string, Buffer>,
  { deflate = true }: { deflate?: boolean } = {},
): void {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, bytes] of Object.entries(members)) {
    const path = Buffer.from(`${name}.npy`);
    const body = deflate ? deflateRawSync(bytes) : bytes;
    // both headers share the fields from the version needed to the length of the name
    const shared = Buffer.alloc(24);
    shared.writeUInt16LE(20, 0);
    shared.writeUInt16LE(deflate ? 8 : 0, 4);
    shared.writeUInt32LE(crc32(bytes), 10);
    shared.writeUInt32LE(body.length, 14);
    shared.writeUInt32LE(bytes.length, 18);
    shared.writeUInt16LE(path.length, 22);
    const local = Buffer.alloc(localBytes);
    local.writeUInt32LE(0x04034b50, 0);
    shared.copy(local, 4);
    const central = Buffer.alloc(centralBytes);
    central.writeUInt32LE(0x02014b50, 0);
    shared.copy(central, 6);
    central.writeUInt32LE(offset, 42);
    parts.push(local, path, body);
    directory.push(central, path);
    offset += localBytes + path.length + body.length;
  }
  const listing = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(directory.length / 2, 8);
  end.writeUInt16LE(directory.length / 2, 10);
  end.writeUInt32LE(listing.length, 12);
  end.writeUInt32LE(offset, 16);
  writeFileSync(file, Buffer.concat([...parts, listing, end]));
}

export const int32Npy = (shape: readonly number[], values: Iterable<number>): Buffer =>
  npy('<i4', shape, new Uint8Array(Int32Array.from(values).buffer));

export const float32Npy = (shape: readonly number[], values: Iterable<number>): Buffer =>
  npy('<f4', shape, new Uint8Array(Float32Array.from(values).buffer));
