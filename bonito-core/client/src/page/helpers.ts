/** At most one call per `delay` ms; the last call made in a pause is made up for at its end. */
export function throttleFunction<A extends unknown[]>(run: (...args: A) => unknown, delay: number): (...args: A) => unknown {
  let last = -Infinity;
  let timer: ReturnType<typeof setTimeout> | undefined;
  return function throttled(...args: A): unknown {
    clearTimeout(timer);
    const pause = last + delay - performance.now();
    if (pause > 0) {
      timer = setTimeout(() => throttled(...args), pause);
      return undefined;
    }
    last = performance.now();
    return run(...args);
  };
}

/** The text under which exported states are looked up: numbers in a form both ends agree on. */
export function generateStateKey(value: unknown): string {
  if (typeof value !== "number" || !Number.isFinite(value)) return String(value);
  return value.toFixed(6).replace(/\.?0+$/, "");
}
