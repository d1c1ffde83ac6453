import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const folder = join(import.meta.dirname, "../../../../tests/vectors/golden/");

/** What a frame means, in the notation of the golden files (`$msg`, `$f32`, …). */
export type Meaning = any;

export interface Golden {
  readonly name: string;
  readonly dir: "s2c" | "c2s";
  readonly compressed: boolean;
  readonly decoded: { readonly container: string; readonly value: Meaning };
  readonly bytes: Uint8Array;
}

export interface SequenceFrame {
  readonly direction: string;
  readonly hex: string;
  readonly label?: string;
  readonly decoded: { readonly value: Meaning };
}

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
export const fromHex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "hex"));

const json = (file: string) => JSON.parse(readFileSync(folder + file, "utf8"));

export const goldens: Golden[] = readdirSync(folder)
  .filter((file) => /^\d\d-.*\.json$/.test(file))
  .sort()
  .map((file) => {
    const bytes = new Uint8Array(readFileSync(folder + file.replace(/json$/, "bin")));
    return { ...json(file), name: file.replace(/\.json$/, ""), bytes };
  });

/** The golden frame whose name starts with this number. */
export function golden(number: string): Golden {
  const found = goldens.find(({ name }) => name.startsWith(number));
  if (!found) throw new Error(`no golden frame ${number}`);
  return found;
}

export const sequence = (name: string): SequenceFrame[] => json(`seq-${name}.json`).frames;

export const encoderTable: Record<string, { hex?: string; throws?: string }> = json("browser-encoder-table.json");

export const fromBrowser = (frame: SequenceFrame): boolean => frame.direction.startsWith("browser");
