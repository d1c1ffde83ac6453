import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** A server of the tests: a child process that says on a line of its output where it listens. */
export class Process {
  readonly #child: ChildProcess;
  /** Its log, for a test that fails. */
  readonly lines: string[] = [];

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** `ready` matches what it says once it listens: by default, the address of a web server. */
  static async start(
    binary: string,
    args: readonly string[],
    ready = /http:\/\/127\.0\.0\.1:\d+\S*/,
  ): Promise<{ process: Process; url: string }> {
    const child = spawn(binary, args, { stdio: ["pipe", "pipe", "pipe"] });
    const started = new Process(child);
    const url = await new Promise<string>((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code) => reject(new Error(`${binary} ended with ${code}:\n${started.lines.join("\n")}`)));
      for (const stream of [child.stdout, child.stderr]) {
        createInterface({ input: stream }).on("line", (line) => {
          started.lines.push(line);
          const address = ready.exec(line);
          if (address) resolve(address[0].replace(/\/$/, ""));
        });
      }
    });
    return { process: started, url };
  }

  /** Ends it, and waits until it has. Its standard input ends with this process in any case. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  /** Ends it as a crash does. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill(signal);
    await ended;
  }
}
