// Runs one wasm32-wasip1 test executable under Node's WASI; cargo calls it as a runner: node wasi.mjs FILE [ARGS…].
import { readFile } from "node:fs/promises";
import { WASI } from "node:wasi";

const [file, ...args] = process.argv.slice(2);
// The seed of the property tests, as natively.
const { PROPTEST_RNG_SEED = "" } = process.env;
const wasi = new WASI({ version: "preview1", args: [file, ...args], env: { PROPTEST_RNG_SEED }, returnOnExit: true });
const { instance } = await WebAssembly.instantiate(await readFile(file), wasi.getImportObject());
process.exitCode = wasi.start(instance);
