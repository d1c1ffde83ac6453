import { existsSync } from "node:fs";
import { defineConfig } from "@playwright/test";

const chromium = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
if (!existsSync(chromium)) throw new Error(`There is no Chromium at ${chromium}: install it, or say in CHROMIUM where it is.`);

const adapter = process.env["BROWSER_ADAPTER"] ?? "axum";
// Behind one adapter only: the examples and the page with faults, which are apps of their own, and what the page and its
// session do among themselves, by messages that others test behind every adapter: values, markup, errors of page code, parts
// that come and go. All that depends on requests, sockets, their order or their end is tested behind each.
const once = adapter === "axum" ? {} : {
  testIgnore: ["bindings", "chat", "cluster", "example", "faults", "gallery", "transports", "values"].map((name) => `${name}.spec.ts`),
  grepInvert: /@once/,
};

export default defineConfig({
  testDir: "specs",
  ...once,
  outputDir: `results/${adapter}`,
  globalSetup: "./support/build.ts",
  fullyParallel: true,
  forbidOnly: Boolean(process.env["CI"]),
  // A test that passes at the second attempt has found something.
  retries: 0,
  workers: 2,
  timeout: 30_000,
  expect: { timeout: 10_000 },
  reporter: [["list"], ["./support/summary.ts", { file: `results/${adapter}.txt`, title: `behind ${adapter}` }]],
  use: {
    browserName: "chromium",
    headless: true,
    trace: "retain-on-failure",
    launchOptions: {
      executablePath: chromium,
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
  },
});
