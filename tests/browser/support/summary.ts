import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { FullResult, Reporter, TestCase, TestError, TestResult } from "@playwright/test/reporter";

/** So many lines are worth reading first, of all failures together. */
const LINES = 14;

interface Options {
  file: string;
  title: string;
}

/** Writes down what failed, and nothing else: what is to be read at the end of a long log. */
export default class Summary implements Reporter {
  readonly #options: Options;
  readonly #failures: string[][] = [];
  #passed = 0;

  constructor(options: Options) {
    this.#options = options;
  }

  printsToStdio(): boolean {
    return false;
  }

  onTestEnd(test: TestCase, result: TestResult): void {
    if (result.status === "skipped") return;
    if (result.status === test.expectedStatus) {
      this.#passed++;
      return;
    }
    // Behind the names of the root, of the project and of the file.
    const [, , file, ...titles] = test.titlePath();
    const name = `${file}:${test.location.line} › ${titles.join(" › ")} (${result.status})`;
    this.#failures.push([name, ...linesOf(result.errors[0])]);
  }

  onError(error: TestError): void {
    this.#failures.push(["outside of the tests", ...linesOf(error)]);
  }

  onEnd({ duration }: FullResult): void {
    const { file, title } = this.#options;
    const failed = this.#failures.length;
    const share = Math.max(2, Math.floor(LINES / failed));
    const lines = this.#failures.flatMap((failure) => failure.slice(0, share));
    mkdirSync(dirname(file), { recursive: true });
    const count = `${title}: ${this.#passed} passed, ${failed} failed after ${Math.round(duration / 1000)} s`;
    writeFileSync(file, [count, ...lines, ""].join("\n"));
  }
}

function linesOf(error: TestError | undefined): string[] {
  // Without the colours of a terminal.
  const text = (error?.message ?? error?.value ?? "no error is told").replace(/\x1b\[[0-9;]*m/g, "");
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines.map((line) => `  ${line}`);
}
