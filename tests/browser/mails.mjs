// OUT-12: mails as they are read: on white, on black and on a telephone, with nothing but the markup to go by. Every word can
// be read, none needs to be scrolled to, and what lists of mails show beside the subject is on no page.

import { asked, launch, main, SIZES } from "./chromium.mjs";

const { mails } = await asked();

/** What cannot be read in the page: words with too little contrast (WCAG 2.2, 1.4.3), or beside the screen. */
function unreadable() {
  const canvas = document.createElement("div");
  canvas.style.background = "Canvas";
  document.body.append(canvas);
  const numbers = (color) => color.match(/[\d.]+/g).map(Number);
  const behind = numbers(getComputedStyle(canvas).backgroundColor);
  canvas.remove();
  const linear = (part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = (color) => 0.2126 * linear(color[0]) + 0.7152 * linear(color[1]) + 0.0722 * linear(color[2]);
  const found = [];
  const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (words.nextNode()) {
    const text = words.currentNode.textContent.trim();
    const element = words.currentNode.parentElement;
    if (text === "" || !element.checkVisibility()) continue;
    seen += 1;
    let opacity = 1;
    for (let up = element; up; up = up.parentElement) opacity *= Number(getComputedStyle(up).opacity);
    const ink = numbers(getComputedStyle(element).color).slice(0, 3).map((part, index) => part * opacity + behind[index] * (1 - opacity));
    const [light, dark] = [luminance(ink), luminance(behind)].sort((a, b) => b - a);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < 4.5) found.push(`${contrast.toFixed(2)}: ${text}`);
  }
  if (document.documentElement.scrollWidth > window.innerWidth) found.push(`${document.documentElement.scrollWidth} wide`);
  if (seen === 0) found.push("nothing to be read");
  return { found, dark: luminance(behind) < 0.2, text: document.body.innerText };
}

await main(await launch(), async (browser) => {
  let looked = 0;
  for (const colorScheme of ["light", "dark"]) {
    for (const viewport of Object.values(SIZES)) {
      const context = await browser.newContext({ colorScheme, viewport });
      const page = await context.newPage();
      for (const { name, html, words, preheader } of mails) {
        await page.setContent(html);
        const { found, dark, text } = await page.evaluate(unreadable);
        const where = `${name}, ${colorScheme}, ${viewport.width}`;
        if (dark !== (colorScheme === "dark")) throw new Error(`${where}: not in the colours that were asked for`);
        if (found.length > 0) throw new Error(`${where}: ${found.join("\n  ")}`);
        if (!text.includes(words)) throw new Error(`${where}: «${words}» is not to be seen`);
        if (preheader && text.startsWith(preheader)) throw new Error(`${where}: the words for lists are on the page`);
        if (process.env.ACCORD_TEST_PICTURES) await page.screenshot({ path: `${process.env.ACCORD_TEST_PICTURES}/${where}.png` });
        looked += 1;
      }
      await context.close();
    }
  }
  console.log(`${looked} looks at mails`);
});
