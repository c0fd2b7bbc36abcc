/** Numbers, sizes and names as people read them; the same on every machine. */

/** 94538 → `94,538`. */
export const count = (value: number) => value.toLocaleString('en', { maximumFractionDigits: 0 });

/** Four digits that tell: 0.0000912 → `9.12e-5`, 30.41 → `30.4`. */
export function number(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size < 1e-3) return value.toExponential(2);
  if (size >= 1000) return count(value);
  return String(Number(value.toPrecision(3)));
}

const units = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'];

/** Decimal units, as disks are sold: 3480112 → `3.48 MB`. */
export function bytes(value: number): string {
  let size = value;
  let unit = 0;
  while (Math.abs(size) >= 1000 && unit + 1 < units.length) {
    size /= 1000;
    unit++;
  }
  return `${unit === 0 ? size : Number(size.toPrecision(3))} ${units[unit]}`;
}

/** 0.3456 → `34.6 %`. */
export const percent = (value: number) => `${number(value * 100)} %`;

/** A digest by its first digits; the whole one belongs into `title`. */
export const short = (digest: string) => digest.slice(0, 12);

/** 2026-11-26 09:00:29 UTC */
export function time(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** Of a duration: `4 s`, `3 min`, `2 h`. */
export function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

export const plural = (value: number, one: string, many = `${one}s`) =>
  `${count(value)} ${value === 1 ? one : many}`;
