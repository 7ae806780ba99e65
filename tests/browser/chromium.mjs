// Chromium as the tests use it: one browser, watched. A dialog, an error on the console, a violated policy, a fault in a
// script, or a request to another host than Accord's is noted, and whoever asks `quiet()` fails because of it.

import { chromium } from "playwright-core";

const ARGUMENTS = [
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
  "--disable-quic",
];

export const SIZES = { wide: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };

/** `hosts` sends a name to another address, as `MAP desk.example:80 127.0.0.1:4711`. */
export async function launch(hosts = "") {
  const asRoot = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  // Of names sent elsewhere, ours is as good as loopback, which browsers take for safe.
  const mapped = hosts ? [`--host-resolver-rules=${hosts}`, "--unsafely-treat-insecure-origin-as-secure=http://desk.example"] : [];
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  return chromium.launch({ executablePath, args: [...ARGUMENTS, ...asRoot, ...mapped] });
}

/** Options of a context for somebody who reads `language`. */
export function reader(language) {
  return { locale: language === "fr" ? "fr-FR" : "en-GB", timezoneId: "Europe/Paris", reducedMotion: "reduce" };
}

/** Notes what should not happen in a context. `allowed` says which answers and lines are meant to be there. */
export function watch(context, base, allowed = () => false) {
  const noted = [];
  const note = (what) => { if (!allowed(what)) noted.push(what); };
  context.on("dialog", (dialog) => {
    note(`a dialog: ${dialog.message()}`);
    dialog.dismiss().catch(() => {});
  });
  context.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) note(`on the console: ${message.text()}`);
  });
  context.on("weberror", (error) => note(`a fault: ${error.error()}`));
  context.on("request", (request) => {
    const url = request.url();
    if (/^https?:|^wss?:|^ftp:/.test(url) && new URL(url).origin !== new URL(base).origin) note(`a request to ${url}`);
  });
  return {
    noted,
    quiet(where) {
      if (noted.length > 0) throw new Error(`${where}:\n  ${noted.splice(0).join("\n  ")}`);
    },
  };
}

/** What the Rust test says, as JSON on standard input. */
export async function asked() {
  let text = "";
  for await (const piece of process.stdin) text += piece;
  return JSON.parse(text);
}

/** Runs a script to its end; the browser is closed whatever happens, and a failure is the status. */
export async function main(browser, run) {
  try {
    await run(browser);
  } catch (error) {
    console.error(error?.stack ?? error);
    process.exitCode = 1;
  } finally {
    await browser.close();
  }
}
