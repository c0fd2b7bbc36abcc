/** What follows an audit: a line in the log, and what it found damaged is refused from now on. */
import { openQuarantine } from '../audit/quarantine.ts';
import { LogitcaskError } from '../errors.ts';
import { resolveSnapshot } from '../shard/snapshot.ts';
import type { Store } from '../store/store.ts';
import type { AuditName, AuditsOptions } from './audits.ts';
import type { Integrity } from './integrity.ts';
import { faultOf, type Log } from './log.ts';

interface Ears {
  readonly integrity: Integrity;
  readonly log: Log;
}

export function auditEnd(store: Store, { integrity, log }: Ears): AuditsOptions['onEnd'] {
  return (name, result) => {
    if (result instanceof LogitcaskError) {
      log.error({ ...name, error: faultOf(result) }, 'audit failed');
      return;
    }
    const faults = result.findings.filter(({ severity }) => severity === 'fault').length;
    const { quarantined } = result.integrity;
    log.info({ ...name, faults, quarantined: quarantined.total }, 'audit');
    proveAgain(store, name, { integrity, damaged: quarantined.rows }).catch((error) => {
      log.error({ ...name, error: faultOf(error) }, 'audited files could not be looked at');
    });
  };
}

/**
 * Files that the server proved may have been damaged, or restored, since: those that the report
 * names, and all others in quarantine, since its list is cut, are proved again.
 */
async function proveAgain(
  store: Store,
  { dataset, snapshot }: AuditName,
  { integrity, damaged }: { integrity: Integrity; damaged: readonly string[] },
): Promise<void> {
  const { manifest } = await resolveSnapshot(store, dataset, snapshot);
  for (const file of manifest.files) integrity.forget(dataset, file);
  const names = new Set([...damaged, ...Object.keys((await openQuarantine(store)).of(dataset))]);
  for (const file of manifest.files.filter(({ name }) => names.has(name))) {
    await integrity.check(dataset, file).catch(({ code }) => {
      if (code !== 'shard-damaged') throw new Error(`audit: ${file.name} could not be read`);
    });
  }
}
