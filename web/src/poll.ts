/** Runs a task again and again while the page is in view. */

const INTERVAL_MS = 10_000;
const LONGEST_MS = 60_000;

/**
 * Ten seconds after the task ended it runs again; after failures the pause doubles up to a minute.
 * A hidden page does not ask, and asks at once when it is shown again.
 */
export function poll(task: () => Promise<boolean>): void {
  let failures = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let running = false;

  const run = async () => {
    clearTimeout(timer);
    if (running || document.hidden) return;
    running = true;
    failures = (await task()) ? 0 : failures + 1;
    running = false;
    const pause = INTERVAL_MS * 2 ** Math.max(0, failures - 1);
    timer = setTimeout(() => void run(), Math.min(LONGEST_MS, pause));
  };
  document.addEventListener('visibilitychange', () => void run());
  window.addEventListener('online', () => void run());
  void run();
}
