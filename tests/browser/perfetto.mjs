// Perfetto's own viewer, whole and served from here, opens a downloaded trace: what its trace processor finds in it is
// written out. Standard input says where the viewer lies and which file it is to open.

import assert from "node:assert/strict";
import { createReadStream, existsSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { asked, launch, main } from "./chromium.mjs";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".json": "application/json", ".wasm": "application/wasm" };

const { site, trace } = await asked();
const server = createServer((request, answer) => {
  const path = normalize(new URL(request.url, "http://here").pathname);
  const file = path === "/trace.json" ? trace : join(site, path === "/" ? "index.html" : path);
  if (!existsSync(file)) return answer.writeHead(404).end();
  answer.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" });
  createReadStream(file).pipe(answer);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const base = `http://127.0.0.1:${server.address().port}`;

await main(await launch(), async (browser) => {
  try {
    const context = await browser.newContext({ serviceWorkers: "block" });
    // It is to read what it is given, not to ask around.
    await context.route((url) => url.origin !== base, (route) => route.abort());
    const page = await context.newPage();
    await page.goto(`${base}/#!/?url=${encodeURIComponent(`${base}/trace.json`)}`);
    await page.waitForFunction(() => window.app?.trace?.engine, null, { timeout: 60_000 });
    const found = await page.evaluate(async () => {
      const rows = async (sql, columns) => {
        const result = await window.app.trace.engine.query(sql);
        const list = [];
        for (const row = result.iter(columns); row.valid(); row.next()) list.push(Object.fromEntries(Object.keys(columns).map((name) => [name, row[name]])));
        return list;
      };
      return {
        spans: await rows("select name, count(*) as count, min(dur) as shortest from slice where dur > 0 group by name order by name", { name: "str", count: 0, shortest: 0 }),
        moments: await rows("select count(*) as count from slice where dur = 0", { count: 0 }),
        faults: await rows("select name, value from stats where severity = 'error' and value > 0", { name: "str", value: 0 }),
        processes: await rows("select name from process where name is not null", { name: "str" }),
      };
    });
    assert.deepEqual(found.faults, [], "nothing that it could not read");
    console.log(JSON.stringify(found));
  } finally {
    server.close();
  }
});
