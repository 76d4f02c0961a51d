// packaging/bundle.mjs: writes dist/main.js and dist/path/thread.js anew, each with what it imports in few files.
// Node opens and compiles a hundred files of ours, and twice as many of yaml and zod, in longer than a small replay takes.
//
// What a test imports by itself stays beside them as tsc has written it. Rolldown leaves constants what they are;
// esbuild makes them variables, with which the path takes half as long again for each packet.
import { chmodSync, readdirSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'

const root = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url))

const bundle = await rolldown({
  input: { main: root('src/main.ts'), 'path/thread': root('src/path/thread.ts') },
  platform: 'node',
  // Of the daemon alone, with files of their own beside them.
  external: ['classic-level', 'pino', 'pino-pretty', 'prom-client'],
})
const { output } = await bundle.write({
  dir: root('dist'),
  // As deep as src/kernel/ and src/path/, which say where other files are.
  chunkFileNames: 'chunks/[name]-[hash].js',
})
await bundle.close()

const written = new Set(output.map(({ fileName }) => fileName))
for (const file of readdirSync(root('dist/chunks'))) {
  if (!written.has(`chunks/${file}`)) rmSync(root(`dist/chunks/${file}`))
}
chmodSync(root('dist/main.js'), 0o755)
