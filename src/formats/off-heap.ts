/**
 * Large buffers lie outside of V8's heap. Where they are made and dropped again and again, freeing
 * them takes longer than filling them: two habits of V8 and of the C library, and what helps.
 */

/** No larger block moves the thresholds of glibc: just below its 32 MiB. */
const largest = 31 * 1024 * 1024;
/** Smaller buffers lie in the heap. */
const least = 128;

let isKept = false;

/**
 * glibc gives freed memory back to the system, which clears every page when it is taken again: half
 * of the time of decoding where page faults are dear. A large block, never touched, that was freed
 * once teaches it to keep up to twice as much at the end of each thread's heap. Other C libraries
 * learn nothing from it.
 */
export function keepFreed(): void {
  if (isKept) return;
  isKept = true;
  Buffer.allocUnsafeSlow(largest);
}

/**
 * V8 looks at how much buffers hold when it makes one itself: beyond 32 MiB of young ones it frees
 * them by a collection of the young heap. Those that native code makes are otherwise left to full
 * collections, which mark all of the heap. So in Node 20 and 22; that of 24 collects fully anyway.
 */
export function freeEarly(): void {
  Buffer.allocUnsafeSlow(least); // bundlers drop a mere `new ArrayBuffer`
}
