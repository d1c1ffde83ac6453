import { spawnSync } from "node:child_process";
import { root } from "./paths.ts";

const binaries = {
  BROWSER_FIXTURE: "browser-fixture",
  AXUM_APP: "axum-app",
  LONG_POLL: "long-poll",
  WEBRTC: "webrtc",
  TWO_PROCESS_APP: "app",
  TWO_PROCESS_FRONT: "front",
  GALLERY: "gallery",
  CHAT: "chat",
};

/**
 * Builds the servers before the tests, and leaves their paths in the environment for the workers.
 *
 * All packages at once and with all features, as the tests in Rust are built: package by package, each of them would have
 * its dependencies with other features, and so the library compiled anew.
 */
export default function build(): void {
  const missing = Object.entries(binaries).filter(([variable]) => !process.env[variable]);
  if (missing.length === 0) return;
  const args = ["build", "--workspace", "--all-features", "--bins", "--message-format=json-render-diagnostics"];
  const cargo = spawnSync("cargo", args, {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 64 * 1024 * 1024,
  });
  if (cargo.status !== 0) throw new Error(`cargo ${args.join(" ")} failed`);
  const made = new Map<string, string>();
  for (const line of cargo.stdout.split("\n")) {
    if (!line.startsWith("{")) continue;
    const message = JSON.parse(line) as { executable?: string | null; target?: { name: string } };
    if (message.executable && message.target) made.set(message.target.name, message.executable);
  }
  for (const [variable, name] of missing) {
    const path = made.get(name);
    if (!path) throw new Error(`cargo made no binary ${name}`);
    process.env[variable] = path;
  }
}
