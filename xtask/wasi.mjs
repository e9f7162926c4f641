// Runs one wasm32-wasip1 test executable under Node's WASI; cargo calls it as a runner: node wasi.mjs FILE [ARGS…].
// It has one thread, so as many processes as there are processors take the tests from one pile, a few at a time.
import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { WASI } from "node:wasi";

/** The first argument of a process that runs the tests that it was dealt. */
const DEALT = "--dealt";

/** How often each process takes of the pile, about. */
const ROUNDS = 4;

/** Resolves to the exit code. */
async function run(file, args, stdout = 1) {
  // The seed of the property tests, as natively.
  const { PROPTEST_RNG_SEED = "" } = process.env;
  const env = { PROPTEST_RNG_SEED };
  const wasi = new WASI({ version: "preview1", args: [file, ...args], env, stdout, returnOnExit: true });
  const { instance } = await WebAssembly.instantiate(await readFile(file), wasi.getImportObject());
  return wasi.start(instance);
}

/** Resolves to the names of the tests that `args` select. */
async function list(file, args) {
  const dir = mkdtempSync(join(tmpdir(), "wasi-"));
  try {
    const path = join(dir, "list");
    const out = openSync(path, "w");
    await run(file, [...args, "--list", "--format=terse"], out);
    closeSync(out);
    const lines = readFileSync(path, "utf8").split("\n");
    return lines.filter(line => line.endsWith(": test")).map(line => line.slice(0, -": test".length));
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** Runs tests in a process of their own; resolves to its exit code. Prints whole lines, since others print beside it. */
function deal(file, names) {
  const args = [...process.execArgv, import.meta.filename, DEALT, file, "--exact", ...names];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  createInterface({ input: child.stdout }).on("line", line => process.stdout.write(`${line}\n`));
  return new Promise(resolve => child.on("close", code => resolve(code ?? 1)));
}

const [file, ...args] = process.argv.slice(2);
if (file === DEALT) {
  process.exitCode = await run(args[0], args.slice(1));
} else {
  const names = args.some(arg => arg.startsWith("-")) ? [] : await list(file, args);
  const hands = availableParallelism();
  const count = Math.min(hands * ROUNDS, Math.floor(names.length / 2));
  // Neighbours take equally long, so that each share gets some of all.
  const pile = Array.from({ length: count }, (_, share) => names.filter((_, index) => index % count === share));
  const play = async () => {
    let worst = 0;
    for (let share; (share = pile.pop());) worst = Math.max(worst, await deal(file, share));
    return worst;
  };
  process.exitCode = count > 1 ? Math.max(...await Promise.all(Array.from({ length: hands }, play))) : await run(file, args);
}
