// Builds dist/; with --check, fails when the committed dist/ is not what the sources give.
import { build } from "esbuild";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { smaller } from "./smaller.mjs";

const entries = { bonito: "src/bonito.ts", websocket: "src/websocket/main.ts" };
const checking = process.argv.includes("--check");
const folder = new URL("./dist/", import.meta.url);

const result = await build({
  absWorkingDir: new URL(".", import.meta.url).pathname,
  entryPoints: entries,
  outdir: "dist",
  bundle: true,
  minify: true,
  format: "esm",
  target: ["chrome111", "firefox113", "safari16.4"],
  charset: "utf8",
  legalComments: "none",
  plugins: [smaller],
  write: false,
});

const files = result.outputFiles.map((file) => ({ name: file.path.split("/").at(-1), text: file.text }));
// The licence of what is bundled in asks to come along with it.
const licence = await readFile(new URL("./node_modules/@msgpack/msgpack/LICENSE", import.meta.url), "utf8");
files.push({ name: "THIRD-PARTY.txt", text: `bonito.js contains @msgpack/msgpack:\n\n${licence}` });

const stale = [];
await mkdir(folder, { recursive: true });
for (const { name, text } of files) {
  const target = new URL(name, folder);
  if (checking) {
    const committed = await readFile(target, "utf8").catch(() => undefined);
    if (committed !== text) stale.push(`dist/${name}`);
  } else {
    await writeFile(target, text);
  }
}
if (stale.length > 0) {
  console.error(`${stale.join(", ")} differ from a fresh build. Run "npm ci && npm run build" in bonito-core/client and commit dist/.`);
  process.exit(1);
}
