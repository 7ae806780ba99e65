// Other people's readers, whole and served from here, open what was downloaded: Perfetto's viewer the trace, speedscope
// the stacks. What each found is written out, as one line of JSON. Standard input says where the readers and files lie.

import assert from "node:assert/strict";
import { createReadStream, existsSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { asked, launch, main } from "./chromium.mjs";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".json": "application/json", ".wasm": "application/wasm" };
/** The machine may be busy with other things. */
const PATIENCE = 60_000;

const { perfetto, trace, stacks } = await asked();
const speedscope = new URL("node_modules/speedscope/dist/release", import.meta.url).pathname;

/** Opens a reader's page, beside which `file` lies as /downloaded; it is to read what it is given, not to ask around. */
async function open(browser, site, file, path, read) {
  const server = createServer((request, answer) => {
    const asked = normalize(new URL(request.url, "http://here").pathname);
    const found = asked === "/downloaded" ? file : join(site, asked === "/" ? "index.html" : asked);
    if (!existsSync(found)) return answer.writeHead(404).end();
    answer.writeHead(200, { "content-type": TYPES[extname(found)] ?? "application/octet-stream" });
    createReadStream(found).pipe(answer);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const base = `http://127.0.0.1:${server.address().port}`;
  try {
    const context = await browser.newContext({ serviceWorkers: "block" });
    await context.route((url) => url.origin !== base, (route) => route.abort());
    const page = await context.newPage();
    await page.goto(`${base}/${path(encodeURIComponent(`${base}/downloaded`))}`);
    return await read(page);
  } finally {
    server.close();
  }
}

async function ofPerfetto(page) {
  await page.waitForFunction(() => window.app?.trace?.engine, null, { timeout: PATIENCE });
  const found = await page.evaluate(async () => {
    const rows = async (sql, columns) => {
      const result = await window.app.trace.engine.query(sql);
      const list = [];
      for (const row = result.iter(columns); row.valid(); row.next()) list.push(Object.fromEntries(Object.keys(columns).map((name) => [name, row[name]])));
      return list;
    };
    return {
      slices: await rows("select name, count(*) as count from slice group by name", { name: "str", count: 0 }),
      unfinished: await rows("select name from slice where dur < 0", { name: "str" }),
      faults: await rows("select name, value from stats where severity = 'error' and value > 0", { name: "str", value: 0 }),
      processes: await rows("select name from process where name is not null", { name: "str" }),
    };
  });
  assert.deepEqual([found.faults, found.unfinished], [[], []], "nothing that it could not read");
  return { slices: Object.fromEntries(found.slices.map(({ name, count }) => [name, count])), processes: found.processes.map(({ name }) => name) };
}

async function ofSpeedscope(page) {
  const rows = page.locator("table tr", { hasText: "%" });
  await rows.first().waitFor({ timeout: PATIENCE });
  // Each row is the time in all, the time of its own, and the name.
  const cells = (await rows.allInnerTexts()).map((row) => row.split(/\s*[\t\n]\s*/).filter(Boolean));
  const time = (text) => Number(text.split(" ")[0].replaceAll(",", ""));
  return Object.fromEntries(cells.map(([total, own, name]) => [name, { total: time(total), own: time(own) }]));
}

await main(await launch(), async (browser) => {
  console.log(JSON.stringify({
    perfetto: await open(browser, perfetto, trace, (file) => `#!/?url=${file}`, ofPerfetto),
    speedscope: await open(browser, speedscope, stacks, (file) => `#profileURL=${file}&view=sandwich`, ofSpeedscope),
  }));
});
