// H-09, ADV-18: what hostile files of a mail can do once they are at the desk. Each is first handed out as its sender would
// have it, so that we know that it harms; then it is opened at the desk as the agent and as the customer: by its link, by
// its address in a tab, and from whatever a page can load it into, on the desk's pages and on somebody else's. No dialog,
// no request to its sender, no picture of it, and no page of the desk's address may come of it.

import { createServer } from "node:http";
import { asked, launch, main, reader } from "./chromium.mjs";

const OURS = "http://desk.example";
const THEIRS = "http://evil.example";
/** How long a file has to do something, after it was opened. */
const SETTLE = 120;

const { base, desk, readers, files } = await asked();
if (base !== OURS) throw new Error(`the desk is at ${base}`);

let told = [];
const outside = createServer((request, response) => {
  const number = request.url.match(/^\/raw\/(\d+)$/)?.[1];
  if (number !== undefined) {
    const { called, bytes } = files[number];
    response.writeHead(200, called ? { "content-type": called } : {});
    response.end(Buffer.from(bytes, "base64"));
  } else if (request.url === "/around") {
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
    response.end("<!doctype html><title>-</title><p>Somebody else's page.</p>");
  } else {
    if (request.url === "/ran") told.push("a request to its sender");
    response.writeHead(204);
    response.end();
  }
});
const port = await new Promise((done) => outside.listen(0, "127.0.0.1", () => done(outside.address().port)));
const browser = await launch(`MAP desk.example:80 ${desk}, MAP * 127.0.0.1:${port}`);

/** A window whose dialogs are told. Policies of pages are left out, so that what is seen is the file's own doing. */
async function window(session) {
  const context = await browser.newContext({ ...reader("fr"), bypassCSP: true });
  if (session) await context.addCookies([{ name: "accord", value: session, url: OURS, httpOnly: true, sameSite: "Lax" }]);
  context.on("dialog", (dialog) => {
    told.push(`a dialog: ${dialog.message()}`);
    dialog.dismiss().catch(() => {});
  });
  return context;
}

const settle = (page) => page.waitForTimeout(SETTLE);
const take = () => told.splice(0);

/** Loads an address into everything that a page can load one into; gives what is to be seen of it. */
async function embedded(page, address, isPicture) {
  const seen = await page.evaluate(async ({ address, isPicture }) => {
    const seen = [];
    const loaded = new Set();
    const put = (name, attributes) => {
      const element = Object.assign(document.createElement(name), attributes);
      const settled = new Promise((done) => {
        element.onload = () => done(loaded.add(element));
        element.onerror = done;
        setTimeout(done, 400);
      });
      document.body.append(element);
      return settled.then(() => element);
    };
    const [frame, object, embed, image, script, style] = await Promise.all([
      put("iframe", { src: address }), put("object", { data: address }), put("embed", { src: address }),
      put("img", { src: address }), put("script", { src: address }), put("link", { rel: "stylesheet", href: address }),
    ]);
    const text = (inner) => {
      try {
        return inner?.body?.innerText ?? inner?.documentElement?.textContent ?? "";
      } catch {
        return "what cannot be read";
      }
    };
    if (text(frame.contentDocument)) seen.push(`a frame shows ${text(frame.contentDocument)}`);
    if (text(object.contentDocument)) seen.push(`an object shows ${text(object.contentDocument)}`);
    if (image.naturalWidth > 0 && !isPicture) seen.push("a picture of it");
    if (loaded.has(script)) seen.push("a script");
    if (loaded.has(style)) seen.push("a style sheet");
    for (const element of [frame, object, embed, image, script, style]) element.remove();
    return seen;
  }, { address, isPicture });
  await settle(page);
  return [...seen, ...take()];
}

/** Goes to an address in a tab of its own; what the browser keeps is no page. */
async function visited(context, address) {
  const page = await context.newPage();
  const saving = page.waitForEvent("download", { timeout: 5_000 }).catch(() => null);
  const went = await page.goto(address).then((answer) => answer?.status(), () => null);
  const found = [];
  if (!(await saving)) found.push(`nothing was saved (${went})`);
  if (page.url() !== "about:blank") found.push(`a page at ${page.url()}`);
  await settle(page);
  await page.close();
  return [...found, ...take()];
}

await main(browser, async () => {
  // What is told is told, and what is hostile harms.
  const elsewhere = await window();
  for (const [number, { name, runs }] of files.entries()) {
    if (!runs) continue;
    const page = await elsewhere.newPage();
    await page.goto(`${THEIRS}/raw/${number}`);
    await settle(page);
    await page.close();
    const happened = take();
    for (const what of ["a dialog: ran", "a request to its sender"]) if (!happened.includes(what)) throw new Error(`${name} harms nobody: without ${what}`);
  }
  const page = await elsewhere.newPage();
  await page.goto(`${THEIRS}/around`);
  for (const [name, what] of [["gif.js", "a dialog: ran"], ["gif.js", "a script"], ["style.css", "a style sheet"], ["style.css", "a request to its sender"]]) {
    const happened = await embedded(page, `${THEIRS}/raw/${files.findIndex((file) => file.name === name)}`, false);
    if (!happened.includes(what)) throw new Error(`${name} harms nobody: ${happened} without ${what}`);
  }

  const faults = [];
  let opened = 0;
  for (const { who, session, page: path } of readers) {
    const context = await window(session);
    const page = await context.newPage();
    await page.goto(OURS + path);
    await page.evaluate(() => { for (const details of document.querySelectorAll("details")) details.open = true; });
    await settle(page);
    for (const what of take()) faults.push(`${who}, the page itself: ${what}`);
    for (const { name, called, handle } of files) {
      const address = `/attachments/${handle}`;
      const fault = (way) => (what) => faults.push(`${name} (${called}), ${who}, ${way}: ${what}`);
      // A picture may be shown where a page loads it as one; what else it is does not come to pass.
      const isPicture = name === "image.gif" || name.startsWith("gif.") || name.startsWith("png.") || name.startsWith("jpeg.");
      const link = page.locator(`a[href="${address}"]`);
      if (await link.count() !== 1) {
        fault("the list")(`${await link.count()} links to it`);
        continue;
      }
      // The link asks to save; without that it is the answer that decides.
      for (const asks of [true, false]) {
        if (!asks) await link.evaluate((element) => element.removeAttribute("download"));
        const [saved] = await Promise.all([page.waitForEvent("download", { timeout: 5_000 }).catch(() => null), link.click()]);
        if (!saved) fault("its link")("nothing was saved");
        else if (/[\u0000-\u001f\u200b-\u200f\u202a-\u202e]/.test(saved.suggestedFilename())) fault("its link")(`it is saved as ${JSON.stringify(saved.suggestedFilename())}`);
        if (page.url() !== OURS + path) {
          fault("its link")(`a page at ${page.url()}`);
          await page.goto(OURS + path);
        }
        await settle(page);
        take().forEach(fault("its link"));
      }
      (await visited(context, OURS + address)).forEach(fault("its address"));
      (await embedded(page, OURS + address, isPicture)).forEach(fault("in a page of the desk"));
      opened += 1;
    }
    // Somebody else's page, open in the same browser, gets nothing of them at all.
    await page.goto(`${THEIRS}/around`);
    for (const { name, handle } of files) for (const what of await embedded(page, `${OURS}/attachments/${handle}`, false)) faults.push(`${name}, ${who}, in somebody else's page: ${what}`);
    await context.close();
  }
  console.log(`${files.length} files, ${opened} times opened, each in six ways`);
  if (faults.length > 0) throw new Error(`${faults.length} faults\n${faults.join("\n")}`);
});
outside.close();
