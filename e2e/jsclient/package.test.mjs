// The package as npm packs it: it is found and typed, is bundled, and connects in Node with the package ws and with a WebSocket of Node's own.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as esbuild from 'esbuild';
import * as vite from 'vite';

const { SERVER } = process.env;
const run = promisify(execFile);
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const OWN = '--experimental-websocket'; // Node 20 has it by this, later ones without
/** What the client may take in a page, in bytes: minified, not compressed. */
const MAX_BUNDLE = 30_000;

/** A program that says whose name it has, or what is wrong. */
const PROGRAM = `
import { SignalingClient } from 'owt-signal-client';
const client = new SignalingClient();
client.connect({ url: '${SERVER}', token: 'packed' }).then((user) => {
  console.log(user);
  return client.disconnect();
}, (error) => console.log(error.message));
`;

let folder;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'owt-signal-client-'));
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder, here('../../clients/js')]);
  const { filename } = JSON.parse(stdout)[0];
  await mkdir(join(folder, 'node_modules'));
  await run('tar', ['-xzf', filename, '-C', 'node_modules'], { cwd: folder });
  await symlink('package', join(folder, 'node_modules/owt-signal-client'));
  await Promise.all([writeFile(join(folder, 'package.json'), '{"type":"module"}'), writeFile(join(folder, 'program.js'), PROGRAM)]);
});
after(() => rm(folder, { recursive: true }));

const node = async (...args) => (await run(process.execPath, args, { cwd: folder, env: { ...process.env, NODE_OPTIONS: '' } })).stdout.trim();

it('has its modules, types, readme and licence, and nothing else', async () => {
  const files = await readdir(join(folder, 'node_modules/package'));
  assert.deepEqual(files.filter((name) => !name.endsWith('.js')).sort(), ['LICENSE', 'README.md', 'index.d.ts', 'package.json']);
});

// npm puts right what it finds wrong, and compares the repository with where the package was built (provenance).
it('can be published as it is, and says where it was made', async () => {
  const packed = join(folder, 'node_modules/package');
  const before = await readFile(join(packed, 'package.json'), 'utf8');
  await run('npm', ['pkg', 'fix'], { cwd: packed });
  assert.equal(await readFile(join(packed, 'package.json'), 'utf8'), before);
  const { repository, publishConfig, version, homepage } = JSON.parse(before);
  assert.deepEqual(repository, { type: 'git', url: 'git+https://github.com/owt-signal/owt-signal.git', directory: 'clients/js' });
  assert.deepEqual(publishConfig, { access: 'public', provenance: true });
  assert.match(homepage, /clients\/js#readme$/);
  assert.match(await readFile(here('../../CHANGELOG.md'), 'utf8'), new RegExp(`^## \\[${version}\\]`, 'm'));
});

it('connects in Node with a WebSocket of its own', async () => {
  assert.equal(await node(OWN, 'program.js'), 'packed');
});

it('finds the package ws where there is no WebSocket, and says so where there is neither', { skip: Boolean(globalThis.WebSocket) }, async () => {
  assert.match(await node('program.js'), /there is no WebSocket here: install the package ws/);
  await symlink(here('../node_modules/ws'), join(folder, 'node_modules/ws'));
  assert.equal(await node('program.js'), 'packed');
  await rm(join(folder, 'node_modules/ws'));
});

describe('a bundle', () => {
  it('of esbuild connects, and is not large', async (t) => {
    const { outputFiles: [{ contents }], warnings } = await esbuild.build({
      entryPoints: [join(folder, 'program.js')], bundle: true, minify: true, format: 'esm', platform: 'browser', write: false, logLevel: 'silent',
    });
    assert.deepEqual(warnings, []);
    t.diagnostic(`${contents.length} bytes`);
    assert.ok(contents.length <= MAX_BUNDLE, `${contents.length} bytes`);
    await writeFile(join(folder, 'esbuild.mjs'), contents);
    assert.equal(await node(OWN, 'esbuild.mjs'), 'packed');
  });

  it('of vite connects', async () => {
    await vite.build({
      root: folder, logLevel: 'silent', build: { outDir: 'vite', lib: { entry: 'program.js', formats: ['es'], fileName: 'program' } },
    });
    const [built] = await readdir(join(folder, 'vite'));
    assert.equal(await node(OWN, join('vite', built)), 'packed');
  });
});

describe('types', () => {
  it('fit what is done with it, and nothing else', async () => {
    await writeFile(join(folder, 'program.ts'), await readFile(here('types.ts'), 'utf8'));
    const options = ['--noEmit', '--strict', '--skipDefaultLibCheck', '--target', 'es2022', '--lib', 'es2022,dom,dom.asynciterable'];
    for (const resolution of [['--module', 'nodenext'], ['--module', 'esnext', '--moduleResolution', 'bundler']]) {
      await run(process.execPath, [here('../node_modules/typescript/bin/tsc'), ...options, ...resolution, 'program.ts'], { cwd: folder })
        .catch(({ stdout }) => assert.fail(stdout));
    }
  });

  it('have everything that the package exports, and every option', async () => {
    const module = await import('../../clients/js/index.js');
    const types = await readFile(here('../../clients/js/index.d.ts'), 'utf8');
    for (const name of Object.keys(module)) assert.match(types, new RegExp(`^export (class|const) ${name}\\b`, 'm'));
    for (const name of Object.keys(module.DEFAULTS)) assert.match(types, new RegExp(`^  ${name}\\?: `, 'm'));
    for (const [name, code] of Object.entries(module.Code)) assert.match(types, new RegExp(`^  ${name}: ${code};$`, 'm'));
    for (const name of Object.getOwnPropertyNames(module.SignalingClient.prototype)) assert.match(types, new RegExp(`^  (readonly )?${name}\\b`, 'm'));
  });

  it('and the readme have every code', async () => {
    const { Code } = await import('../../clients/js/index.js');
    const readme = await readFile(here('../../clients/js/README.md'), 'utf8');
    for (const [name, code] of Object.entries(Code)) assert.match(readme, new RegExp(`^\\| ${code} \\| \`${name}\` \\| `, 'm'));
  });
});
