/**
 * Leases of uploads. They are kept in memory: an upload that nobody pushed to through this server,
 * nor through another one of the same store, for the time of a lease has ended.
 */
import type { Store } from '../store/store.ts';
import { Place } from './place.ts';

const sweepMsMax = 60_000;

export interface LeasesOptions {
  readonly leaseMs: number;
  /** Whether it is being committed. */
  readonly isBusy: (place: Place) => boolean;
}

export class Leases {
  readonly leaseMs: number;
  readonly #store: Store;
  readonly #isBusy: LeasesOptions['isBusy'];
  /** By folder: when the lease ends, and the files that were there last. */
  readonly #known = new Map<string, { ends: number; files: string }>();
  readonly #timer: NodeJS.Timeout;

  constructor(store: Store, { leaseMs, isBusy }: LeasesOptions) {
    this.#store = store;
    this.leaseMs = leaseMs;
    this.#isBusy = isBusy;
    const every = Math.min(sweepMsMax, leaseMs / 4);
    this.#timer = setInterval(() => void this.sweep().catch(() => {}), every);
    this.#timer.unref();
  }

  renew({ folder }: Place): void {
    const files = this.#known.get(folder)?.files ?? '';
    this.#known.set(folder, { ends: Date.now() + this.leaseMs, files });
  }

  /** What the sweep cannot remove it tries again. */
  async sweep(): Promise<void> {
    for (const dataset of await this.#store.list('')) {
      for (const upload of await this.#store.list(`${dataset}/uploads`)) {
        await this.#look(new Place(this.#store, { dataset, upload }));
      }
    }
  }

  async #look(place: Place): Promise<void> {
    const files = (await this.#store.list(place.folder)).join();
    const known = this.#known.get(place.folder);
    const isNew = known === undefined || known.files !== files;
    if (isNew) this.#known.set(place.folder, { ends: Date.now() + this.leaseMs, files });
    else if (Date.now() >= known.ends && !this.#isBusy(place)) {
      await place.remove();
      this.#known.delete(place.folder);
    }
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
