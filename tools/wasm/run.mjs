// Runs a MicroPython script on wasm32: node run.mjs NODE_MODULES HEAP_BYTES ROOT SCRIPT [ARG...]
// protocol/ and firmware_py/ below ROOT are copied into the interpreter's file system under /project. The port has no
// sys.argv: the script finds its arguments in the global ARGV (["/script.py", "/project", ARG...]).
// This port collects garbage only when no Python runs: a script that leaves a function `step` is called again and again
// while that returns True, with a collection before each call.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [modules, heap, root, script, ...args] = process.argv.slice(2);
const entry = path.resolve(modules, "@micropython/micropython-webassembly-pyscript/micropython.mjs");
const { loadMicroPython } = await import(pathToFileURL(entry).href);
const lines = [];
const mp = await loadMicroPython({ heapsize: Number(heap), linebuffer: true, stdout: (line) => lines.push(line) });

function copy(source, target) {
  for (const item of fs.readdirSync(source, { withFileTypes: true })) {
    if (item.name.startsWith(".") || item.name === "__pycache__") continue;
    const from = path.join(source, item.name);
    const to = `${target}/${item.name}`;
    if (item.isDirectory()) {
      mp.FS.mkdirTree(to);
      copy(from, to);
    } else if (/\.(py|mpy|json|bin)$/.test(item.name)) {
      mp.FS.writeFile(to, fs.readFileSync(from));
    }
  }
}
for (const folder of ["protocol", "firmware_py"]) {
  mp.FS.mkdirTree(`/project/${folder}`);
  copy(path.join(root, folder), `/project/${folder}`);
}
// Arguments that name a file on the host are copied in; the script sees where they landed.
const seen = args.map((value, index) => {
  if (!fs.existsSync(value) || !fs.statSync(value).isFile()) return value;
  const target = `/argument-${index}${path.extname(value)}`;
  mp.FS.writeFile(target, fs.readFileSync(value));
  return target;
});
mp.FS.writeFile("/script.py", fs.readFileSync(script));
const argv = JSON.stringify(["/script.py", "/project", ...seen]);
try {
  mp.runPython(`import gc\nrun = {'__name__': '__main__', 'ARGV': ${argv}}\nexec(open('/script.py').read(), run)`);
  do {
    mp.runPython("gc.collect()");
    mp.runPython("more = run['step']() if 'step' in run else False");
  } while (mp.globals.get("more"));
} catch (error) {
  lines.forEach((line) => console.log(line));
  console.error(error.message);
  process.exit(1);
}
lines.forEach((line) => console.log(line));
