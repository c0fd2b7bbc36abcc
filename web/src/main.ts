/** The console's start: the frame first, so that something is seen at once, then the page. */
import { startRouter } from './router.ts';
import { buildShell } from './shell.ts';

const part = (id: string) => document.getElementById(id) as HTMLElement;

buildShell(part('header'), part('footer'));
startRouter(part('main'));
