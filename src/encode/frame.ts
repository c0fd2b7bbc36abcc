/** The header of a frame: everything that can be checked before a byte is decompressed. */
import { crc32 } from 'node:zlib';
import { type TargetKind, targetKinds } from '../distribution/targets.ts';
import { LogitcaskError } from '../errors.ts';
import { type Compression, compressions } from './compression.ts';

export const headerBytes = 40;
const magic = 0x5246434c; // LCFR

export interface FrameHeader {
  readonly kind: TargetKind;
  readonly compression: Compression;
  /** Bytes of a count: 1, 2 or 4. */
  readonly countWidth: number;
  /** Planes of the ids: 2, 3 or 4. */
  readonly idPlanes: number;
  /** n and m */
  readonly positions: number;
  readonly entries: number;
  readonly step: number;
  readonly tau: number;
  readonly rawBytes: number;
}

export function rawBytes(
  h: Omit<FrameHeader, 'rawBytes' | 'compression' | 'step' | 'tau'>,
): number {
  const rest = h.kind === 'scaled' ? 2 * h.positions : 0;
  return h.positions * h.countWidth + rest + h.entries * (h.idPlanes + 2);
}

export function damaged(what: string, expected: unknown, got: unknown): LogitcaskError {
  return new LogitcaskError('frame-damaged', `frame: ${what}, read it again from a good copy`, {
    expected,
    got,
  });
}

export function writeFrame(header: FrameHeader, block: Uint8Array): Uint8Array {
  const frame = new Uint8Array(headerBytes + block.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, magic, true);
  frame[4] = 1;
  frame[5] = targetKinds.indexOf(header.kind);
  frame[6] = compressions[header.compression].code;
  frame[7] = header.countWidth;
  frame[8] = header.idPlanes;
  view.setUint32(12, header.positions, true);
  view.setUint32(16, header.entries, true);
  view.setFloat32(20, header.step, true);
  view.setFloat32(24, header.tau, true);
  view.setUint32(28, block.length, true);
  view.setUint32(32, header.rawBytes, true);
  frame.set(block, headerBytes);
  view.setUint32(36, checksum(frame), true);
  return frame;
}

function checksum(frame: Uint8Array): number {
  return crc32(frame.subarray(headerBytes), crc32(frame.subarray(0, 36)));
}

/**
 * Checks all of a frame that can be checked without decompressing it: magic, lengths, CRC-32, and
 * the raw length against the counts. Throws `frame-damaged`.
 */
export function checkFrame(frame: Uint8Array): FrameHeader {
  if (frame.length < headerBytes) {
    throw damaged('it is shorter than its header', `${headerBytes} bytes`, `${frame.length} bytes`);
  }
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (view.getUint32(0, true) !== magic) {
    throw damaged('it does not begin with LCFR', 'LCFR', view.getUint32(0, true));
  }
  if (frame[4] !== 1) throw damaged('its version is not known', 1, frame[4]);
  const blockBytes = view.getUint32(28, true);
  if (frame.length !== headerBytes + blockBytes) {
    throw damaged('its length is not the declared one', headerBytes + blockBytes, frame.length);
  }
  const stored = view.getUint32(36, true);
  const actual = checksum(frame);
  if (stored !== actual) throw damaged('its checksum does not match', stored, actual);
  return checkedHeader(frame, view);
}

function checkedHeader(frame: Uint8Array, view: DataView): FrameHeader {
  const compression = (Object.keys(compressions) as Compression[]).find(
    (name) => compressions[name].code === frame[6],
  );
  if (frame[5] > 2) throw damaged('its kind is not known', '0, 1 or 2', frame[5]);
  if (compression === undefined) throw damaged('its compression is not known', '1 or 2', frame[6]);
  if (![1, 2, 4].includes(frame[7])) throw damaged('its count width is wrong', '1, 2, 4', frame[7]);
  if (![2, 3, 4].includes(frame[8])) throw damaged('its id planes are wrong', '2, 3, 4', frame[8]);
  if ((frame[9] | frame[10] | frame[11]) !== 0)
    throw damaged('reserved bytes are set', 0, 'others');
  const header: FrameHeader = {
    kind: targetKinds[frame[5]],
    compression,
    countWidth: frame[7],
    idPlanes: frame[8],
    positions: view.getUint32(12, true),
    entries: view.getUint32(16, true),
    step: view.getFloat32(20, true),
    tau: view.getFloat32(24, true),
    rawBytes: view.getUint32(32, true),
  };
  const expected = rawBytes(header);
  if (header.rawBytes !== expected) {
    throw damaged('its raw length contradicts its counts', expected, header.rawBytes);
  }
  if (!(header.step > 0 && header.step < 1)) {
    throw damaged('its step is not between 0 and 1', '0 < step < 1', header.step);
  }
  if (!(header.tau >= 0 && header.tau <= 1)) throw damaged('its tau is wrong', '0…1', header.tau);
  return header;
}
