// A plugin that makes @msgpack/msgpack smaller than a bundler can by itself: it keeps every method of a class, under its name.
import { transform } from "esbuild";
import { readFile } from "node:fs/promises";

// What only its streams need, and what only options that we do not take.
const unused = [
  "async decodeAsync", "*decodeMulti", "decodeArrayStream", "decodeStream", "async *decodeMultiAsync", "readArraySize", "appendBuffer",
  "encodeBigInt64", "writeBigInt64", "writeBigUint64", "readI64AsBigInt", "readU64AsBigInt", "countWithoutUndefined",
];

// Methods that only the package itself calls: never options, nor what is called from outside. Each has its short name from
// its place here, whichever file comes first; 52 places there are.
const own = `
  writeU8 writeU16 writeU32 writeU64 writeU8a writeI8 writeI16 writeI32 writeI64 writeF32 writeF64 writeStringHeader
  doEncode encodeNil encodeBoolean encodeNumber encodeNumberAsFloat encodeString encodeObject encodeBinary encodeArray encodeMap
  encodeExtension encodeSharedRef ensureBufferSizeToWrite resizeBuffer
  readU8 readU16 readU32 readU64 readI8 readI16 readI32 readI64 readF32 readF64 lookU8 lookU16 lookU32 readHeadByte complete
  doDecodeSync decodeString decodeUtf8String decodeBinary decodeExtension pushArrayState pushMapState
  reinitializeState setBuffer hasRemaining stateIsMapKey`.trim().split(/\s+/);
const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const short = Object.fromEntries(own.map((name, index) => [name, letters[index]]));

function without(text, method) {
  const begin = text.indexOf(`\n    ${method}(`);
  return begin < 0 ? text : text.slice(0, begin) + text.slice(text.indexOf("\n    }\n", begin) + "\n    }".length);
}

export const smaller = {
  name: "smaller",
  setup(build) {
    build.onLoad({ filter: /@msgpack[/\\]msgpack[/\\].*\.mjs$/ }, async ({ path }) => {
      // Error reports name the error; minified, its class has no name to speak of.
      const text = unused.reduce(without, await readFile(path, "utf8")).replace("DecodeError.name", '"DecodeError"');
      const { code } = await transform(text, { mangleProps: new RegExp(`^(${own.join("|")})$`), mangleCache: short });
      return { contents: code };
    });
  },
};
