interface Entry {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/** A clock that moves when the test says so, and what is to happen at which time. */
export class Clock {
  time = 0;
  #due: Entry[] = [];
  #order = 0;

  after(ms: number, run: () => void): () => void {
    const entry = { at: this.time + ms, order: this.#order++, run };
    this.#due.push(entry);
    return () => {
      const place = this.#due.indexOf(entry);
      if (place >= 0) this.#due.splice(place, 1);
    };
  }

  get pending(): number {
    return this.#due.length;
  }

  /** Lets time pass, one event at a time; promises settle between them. */
  async pass(ms: number, check: () => void = () => {}): Promise<void> {
    const end = this.time + ms;
    for (;;) {
      let next: Entry | undefined;
      for (const entry of this.#due) {
        if (entry.at <= end && (!next || entry.at < next.at || (entry.at === next.at && entry.order < next.order))) next = entry;
      }
      if (!next) break;
      this.#due.splice(this.#due.indexOf(next), 1);
      this.time = Math.max(this.time, next.at);
      next.run();
      await settled();
      check();
    }
    this.time = end;
  }
}

/** Lets promises that are resolved already run what waits for them. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 3; i++) await null;
}

/** Numbers in [0, 1) that depend on nothing but the seed. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
