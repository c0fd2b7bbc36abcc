/** Going to another page of the console; the router listens. */

export function navigate(path: string): void {
  history.pushState(null, '', path);
  dispatchEvent(new PopStateEvent('popstate'));
}

/** Address of a page about a snapshot. */
export function snapshotPage(dataset: string, snapshot: string): string {
  return `/datasets/${encodeURIComponent(dataset)}/snapshots/${encodeURIComponent(snapshot)}`;
}
