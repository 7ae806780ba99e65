// H-02, H-04: what hostile mail can do in the frame it is shown in. Each construct is shown twice, with one layer of the
// two that keep it harmless: sanitized, in a page without any policy; and as it came, in the frame with its sandbox and
// policy. No dialog, no navigation, no window, no script, and no connection to anybody may come of it. Every name but
// our own leads to a server here that counts, so what is counted did leave the browser.

import { createServer } from "node:http";
import { createServer as listen } from "node:net";
import { asked, launch, main } from "./chromium.mjs";

const OURS = "http://desk.example";
const SILENT = "a connection: nothing said";
/** How long a construct has to show what it does, after it is loaded. */
const SETTLE = 40;

/**
 * Connections that somebody's mail caused: those that name the hostile host, and those that say nothing. Chromium opens
 * a silent one for a frame whose address the policy then refuses to ask for, and may do so late: what the policy alone
 * keeps quiet comes last, and there only what says something is a request.
 */
function counter() {
  const connections = [];
  const server = listen((socket) => {
    const connection = { said: "" };
    connections.push(connection);
    socket.on("data", (bytes) => {
      connection.said += bytes.toString("latin1");
      socket.end("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    });
    socket.on("error", () => {});
  });
  return { server, take: () => connections.splice(0).filter(({ said }) => said === "" || said.includes("evil")).map(({ said }) => said.split("\r\n")[0].replaceAll(/[^\x20-\x7e]+/g, ".").slice(0, 80) || "nothing said") };
}

const started = (server) => new Promise((done) => server.listen(0, "127.0.0.1", () => done(server.address().port)));

const { constructs, frame, policy, sandbox } = await asked();
const outside = counter();
let shown = { html: "", headers: {} };
const desk = createServer((request, response) => {
  const isPage = request.url === "/" || request.url === "/around";
  response.writeHead(isPage ? 200 : 404, { "content-type": "text/html; charset=utf-8", ...(request.url === "/" ? shown.headers : {}) });
  response.end(request.url === "/around" ? `<!doctype html><title>-</title><iframe sandbox="${sandbox}" src="/"></iframe>` : isPage ? shown.html : "");
});
const [deskPort, outsidePort] = [await started(desk), await started(outside.server)];
const browser = await launch(`MAP desk.example:80 127.0.0.1:${deskPort}, MAP * 127.0.0.1:${outsidePort}`);

/** A window in which one construct is shown after the other. */
async function opened() {
  const context = await browser.newContext();
  const page = await context.newPage();
  let happened = [];
  let meant = [];
  context.on("dialog", (dialog) => {
    happened.push(`a dialog: ${dialog.message()}`);
    dialog.dismiss().catch(() => {});
  });
  context.on("page", (other) => {
    happened.push("a window");
    other.close().catch(() => {});
  });
  page.on("framenavigated", (to) => {
    // The browser's own page says that it did not go there; a frame within the frame that holds its own text goes nowhere.
    const isHere = ["chrome-error://chromewebdata/", "about:srcdoc"].includes(to.url());
    if (!isHere && !meant.some((path) => to.url() === OURS + path)) happened.push(`a navigation to ${to.url()}`);
  });
  // What came of it.
  return async (html, headers, path) => {
    shown = { html, headers };
    meant = [path, "/"];
    await page.goto(OURS + path, { timeout: 5_000 }).catch((error) => happened.push(`not loaded: ${error.message.split("\n")[0]}`));
    await page.waitForTimeout(SETTLE);
    for (const frame of page.frames()) {
      const asking = frame.evaluate(() => {
        try {
          return Boolean(window.pwned) || localStorage.length > 0 || document.cookie !== "";
        } catch {
          // Without an origin there is no storage.
          return Boolean(window.pwned);
        }
      }).catch(() => false);
      // A frame whose address is refused never answers, and nothing runs in it.
      const ran = await Promise.race([asking, new Promise((silent) => setTimeout(silent, 250, false))]);
      if (ran) happened.push("a script ran");
    }
    const all = [...happened, ...outside.take().map((said) => `a connection: ${said}`)];
    happened = [];
    return all;
  };
}

/** What each construct did in the window of its layer; what takes its time is counted too, if not beside its construct. */
async function faultsOf(layer, written) {
  const show = await opened();
  const faults = [];
  for (const construct of constructs) {
    for (const what of await show(...written(construct))) faults.push([what, `    ${construct.raw}\n    ${construct.sanitized}`]);
  }
  await new Promise((later) => setTimeout(later, 1000));
  for (const what of await show("", {}, "/")) faults.push([what, "    at the end"]);
  return faults.map(([what, of]) => ({ what, text: `${layer}: ${what}\n${of}` }));
}

await main(browser, async () => {
  const page = ({ sanitized }) => [`<!doctype html><meta charset="utf-8"><title>-</title>${sanitized}`, {}, "/"];
  const framed = ({ raw }) => [frame.replace("HERE", () => raw), { "content-security-policy": policy }, "/around"];
  const faults = [
    ...await faultsOf("sanitized, no policy", page),
    ...(await faultsOf("as it came, in the frame", framed)).filter(({ what }) => what !== SILENT),
  ];
  // What is counted is counted: neither layer holds here.
  const harmful = await (await opened())(`<!doctype html><img src="http://evil.example/x"><script>pwned = 1; alert(1)</script>`, {}, "/");
  for (const what of ["a dialog", "a connection: GET", "a script ran"]) {
    if (!harmful.some((one) => one.startsWith(what))) throw new Error(`${what} would not be noticed: ${harmful}`);
  }
  console.log(`${constructs.length} constructs, each sanitized and each in the frame`);
  if (faults.length > 0) throw new Error(faults.map(({ text }) => text).join("\n"));
});
desk.close();
outside.server.close();
