import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const STARTS_WITHIN_MS = 20_000;

/** A NATS broker on a loopback port, with a store of its own. */
export class Broker {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(child: ChildProcess, folder: string, url: string) {
    this.#child = child;
    this.#folder = folder;
    this.url = url;
  }

  static async start(): Promise<Broker> {
    const folder = await mkdtemp(join(tmpdir(), "nats-"));
    const args = ["--addr", "127.0.0.1", "--port", "-1", "--jetstream", "--store_dir", join(folder, "store"), "--ports_file_dir", folder];
    // Debian has it where only root looks. The shell ends it with its input, so that it never outlives the tests.
    const script = 'nats-server "$@" & server=$!; read -r _; kill -9 $server; wait $server';
    const env = { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin` };
    const child = spawn("sh", ["-c", script, "sh", ...args], { stdio: ["pipe", "ignore", "ignore"], env });
    const until = Date.now() + STARTS_WITHIN_MS;
    for (;;) {
      const url = await listening(folder);
      if (url) return new Broker(child, folder, url);
      if (Date.now() > until) throw new Error("nats-server does not start: tests/run installs it");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, "exit");
    this.#child.stdin?.end();
    await ended;
    await rm(this.#folder, { recursive: true });
  }
}

/** It writes its ports to a file when it listens. */
async function listening(folder: string): Promise<string | undefined> {
  const file = (await readdir(folder)).find((name) => name.endsWith(".ports"));
  if (!file) return undefined;
  try {
    const ports = JSON.parse(await readFile(join(folder, file), "utf8")) as { nats?: string[] };
    return ports.nats?.[0];
  } catch {
    // It is just being written.
    return undefined;
  }
}
