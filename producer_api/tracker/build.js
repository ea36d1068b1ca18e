// Writes each script as one minified file: node build.js [folder]
import { mkdirSync, writeFileSync } from "node:fs";
import { buildSync } from "esbuild";
import { minify } from "terser";

const folder = process.argv[2] || "dist";
mkdirSync(folder, { recursive: true });
for (const name of ["script.js", "script.full.js"]) {
  const bundle = buildSync({
    entryPoints: [`src/${name}`],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2019",
    minifySyntax: true,
    dropLabels: name === "script.js" ? ["PLUGINS"] : [],
  });
  // After gzip, functions without inlining are smaller.
  const { code } = await minify(bundle.outputFiles[0].text, {
    ecma: 2019,
    module: true,
    compress: { passes: 3, inline: 0, keep_fargs: false, reduce_funcs: false, unsafe_arrows: true },
    format: { ascii_only: true, wrap_func_args: false },
  });
  // Its names are not the page's.
  writeFileSync(`${folder}/${name}`, `(()=>{${code}})();\n`);
}
