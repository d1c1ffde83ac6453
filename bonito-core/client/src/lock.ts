import { Fifo } from "./fifo.ts";
import { isThenable } from "./promises.ts";

interface Task {
  run: () => unknown;
  settle: (result: unknown) => void;
}

/**
 * One task at a time, first come first served (protocol.md §8.3).
 *
 * Session starts, incoming frames, frees and swaps all go through it, so none of them sees
 * another one half done. A task runs at once when nothing is before it; a task queued from
 * inside a task waits for everything that was queued earlier.
 */
export class Lock {
  #tasks = new Fifo<Task>();
  #holds: PromiseLike<unknown>[] = [];
  #busy = false;
  #inside = false;
  #onError: (error: unknown) => void;

  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  /** True while the synchronous part of a task is on the stack: such code need not queue again. */
  get inside(): boolean {
    return this.#inside;
  }

  /** Resolves with the task's result, or with `undefined` when it failed; it never rejects. */
  lock<T>(task: () => T): Promise<Awaited<T> | undefined> {
    return new Promise((resolve) => {
      this.#tasks.push({ run: task, settle: resolve as (result: unknown) => void });
      this.#drain();
    });
  }

  /**
   * Lets no further task start before `pending` has settled. It keeps frames in order when a
   * transport starts asynchronous decoding inside a task without returning the promise.
   */
  hold(pending: PromiseLike<unknown>): void {
    this.#holds.push(pending);
    this.#drain();
  }

  #drain(): void {
    while (!this.#busy) {
      const hold = this.#holds.shift();
      if (hold !== undefined) {
        this.#await(hold, () => {});
        return;
      }
      const task = this.#tasks.shift();
      if (task === undefined) return;
      const result = this.#start(task);
      if (isThenable(result)) {
        this.#await(result, task.settle);
        return;
      }
      task.settle(result);
    }
  }

  #start(task: Task): unknown {
    this.#busy = true;
    this.#inside = true;
    try {
      return task.run();
    } catch (error) {
      this.#onError(error);
      return undefined;
    } finally {
      this.#inside = false;
      this.#busy = false;
    }
  }

  #await(pending: PromiseLike<unknown>, settle: (result: unknown) => void): void {
    this.#busy = true;
    const resume = (result: unknown) => {
      this.#busy = false;
      settle(result);
      this.#drain();
    };
    pending.then(resume, (error: unknown) => {
      this.#onError(error);
      resume(undefined);
    });
  }
}
