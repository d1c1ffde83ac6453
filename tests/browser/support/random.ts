import type { TestInfo } from "@playwright/test";

/** Random numbers from a seed (mulberry32). `SEED` repeats a run; without it each run has its own. */
export class Random {
  readonly seed: number;
  #state: number;

  constructor(seed: number) {
    this.seed = seed >>> 0;
    this.#state = this.seed;
  }

  /** Of this test, which says in its log how to repeat it. */
  static of(testInfo: TestInfo): Random {
    const random = new Random(Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 32)));
    testInfo.annotations.push({ type: "seed", description: String(random.seed) });
    console.log(`${testInfo.title}: SEED=${random.seed}`);
    return random;
  }

  /** In [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** In [0, bound). */
  below(bound: number): number {
    return this.next() * bound;
  }

  /** A whole number in [0, bound). */
  index(bound: number): number {
    return Math.floor(this.below(bound));
  }

  pick<T>(choices: readonly T[]): T {
    const choice = choices[this.index(choices.length)];
    if (choice === undefined) throw new Error("there is nothing to pick from");
    return choice;
  }
}
