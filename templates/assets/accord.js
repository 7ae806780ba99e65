// Accord's one script. Every page works without it; it only makes things quicker. Nothing is written here that a person
// reads: texts come from the page.
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("script");
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (selector, within = document) => within.querySelector(selector);
  const isTyping = (element) => element.matches?.("input:not([type=checkbox],[type=radio],[type=file]), textarea, select, [contenteditable]");
  const isShown = (element) => element.getClientRects().length > 0;

  // ---- Forms ----

  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  for (const input of all("input[name=time_zone][type=hidden]")) if (!input.value && zone) input.value = zone;

  // A second click sends nothing twice. The button keeps its name and value, so it is marked, not disabled.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.getAttribute("method") !== "post" || event.defaultPrevented) return;
    // A preview in a tab of its own leaves the form to be sent, and so does a file, which leaves the page as it is.
    if (event.submitter?.formTarget === "_blank" || "download" in form.dataset) return;
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "1";
    event.submitter?.setAttribute("aria-busy", "true");
  });
  // Coming back with the browser's "back", the form can be sent again.
  addEventListener("pageshow", () => {
    for (const form of all("form[data-sent]")) delete form.dataset.sent;
    for (const button of all("button[aria-busy]")) button.removeAttribute("aria-busy");
  });

  const focusFirst = one("[data-focus]");
  if (focusFirst) focusFirst.focus();

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-auto-submit]")) event.target.form.requestSubmit();
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches("textarea[data-submit-key]")) {
      event.preventDefault();
      event.target.form.requestSubmit();
    }
  });

  // Browsers that do not size a textarea by its content yet.
  if (!CSS.supports("field-sizing", "content")) {
    const grow = (area) => {
      area.style.height = "auto";
      area.style.height = `${area.scrollHeight + 2}px`;
    };
    document.addEventListener("input", (event) => event.target.matches("textarea") && grow(event.target));
    for (const area of all("textarea")) if (area.value && isShown(area)) grow(area);
  }

  // ---- Files: dropped, pasted, listed, taken back ----

  const sizeText = new Intl.NumberFormat(root.lang, { notation: "compact", style: "unit", unit: "byte", unitDisplay: "narrow" });

  const setFiles = (input, files) => {
    const transfer = new DataTransfer();
    for (const file of input.multiple ? files : files.slice(-1)) transfer.items.add(file);
    input.files = transfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  };

  for (const field of all("[data-files]")) {
    const input = one("input[type=file]", field);
    const list = one(".chosen", field);
    const drop = one(".drop", field);
    // The last choice, since opening the file window again would replace it.
    let chosen = [];
    let isSetting = false;
    const show = () => {
      list.hidden = chosen.length === 0;
      list.replaceChildren(...chosen.map((file) => {
        const item = document.createElement("li");
        const name = document.createElement("bdi");
        name.textContent = file.name;
        const size = document.createElement("span");
        size.className = "faint";
        size.textContent = sizeText.format(file.size);
        const remove = document.createElement("button");
        remove.type = "button";
        remove.textContent = "×";
        remove.setAttribute("aria-label", `${field.dataset.remove} ${file.name}`);
        remove.addEventListener("click", () => {
          chosen = chosen.filter((other) => other !== file);
          apply();
          (one("button", list) ?? input).focus();
        });
        item.append(name, size, remove);
        return item;
      }));
    };
    const apply = () => {
      isSetting = true;
      setFiles(input, chosen);
      isSetting = false;
      chosen = [...input.files];
      show();
    };
    const add = (files) => {
      const isNew = (file) => !chosen.some((other) => other.name === file.name && other.size === file.size);
      chosen = input.multiple ? [...chosen, ...files.filter(isNew)] : files.slice(0, 1);
      apply();
    };
    input.addEventListener("change", () => { if (!isSetting) add([...input.files]); });
    // The whole form takes what is dropped, so that one need not aim.
    const form = input.form ?? field;
    const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
    form.addEventListener("dragover", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      drop.classList.add("over");
    });
    form.addEventListener("dragleave", (event) => { if (!form.contains(event.relatedTarget)) drop.classList.remove("over"); });
    form.addEventListener("drop", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      drop.classList.remove("over");
      add([...event.dataTransfer.files]);
    });
    form.addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (files.length === 0) return;
      event.preventDefault();
      // Screenshots are all called image.png; the time tells them apart.
      const stamp = new Date().toISOString().slice(0, 19).replace(/[:T]/g, "-");
      add(files.map((file) => (file.name === "image.png" ? new File([file], `image-${stamp}.png`, { type: file.type }) : file)));
    });
  }

  // ---- Drafts: some seconds after typing, and on leaving ----

  for (const form of all("form[data-draft]")) {
    const state = one("[data-draft-state]", form);
    let timer = 0;
    let isChanged = false;
    const body = () => {
      const fields = new URLSearchParams();
      for (const [name, value] of new FormData(form)) if (typeof value === "string") fields.append(name, value);
      return fields;
    };
    const save = async () => {
      clearTimeout(timer);
      if (!isChanged || form.dataset.sent) return;
      isChanged = false;
      try {
        const answer = await fetch(form.dataset.draft, { method: "POST", body: body(), headers: { Accept: "application/json" } });
        if (!answer.ok) throw new Error(String(answer.status));
        if (state) state.textContent = state.dataset.saved;
      } catch {
        // Kept as changed: the next key tries again.
        isChanged = true;
        if (state) state.textContent = state.dataset.failed ?? "";
      }
    };
    form.addEventListener("input", (event) => {
      if (event.target.type === "file") return;
      isChanged = true;
      if (state) state.textContent = "";
      clearTimeout(timer);
      timer = setTimeout(save, 2500);
    });
    addEventListener("pagehide", () => {
      if (isChanged && !form.dataset.sent) navigator.sendBeacon(form.dataset.draft, body());
    });
  }

  // Where the views of a list do not fit beside one another, the one that is open is to be seen.
  for (const view of all(".tabs [aria-current], .portal-nav [aria-current]")) {
    const views = view.closest(".portal-nav") ?? view.closest("ul");
    if (!views) continue;
    views.scrollLeft += view.getBoundingClientRect().left - views.getBoundingClientRect().left - (views.clientWidth - view.offsetWidth) / 2;
  }

  // ---- Time ----

  const relative = new Intl.RelativeTimeFormat(root.lang, { numeric: "always" });
  const loaded = Date.now();
  const refresh = () => {
    for (const time of all("time[data-ago]")) {
      const minutes = Math.floor((Date.now() - Date.parse(time.dateTime)) / 60000);
      // Units as the server counts them: minutes below an hour, hours below two days, then days.
      if (!(minutes >= 1)) continue;
      if (minutes < 60) time.textContent = relative.format(-minutes, "minute");
      else if (minutes < 2880) time.textContent = relative.format(-Math.floor(minutes / 60), "hour");
      else time.textContent = relative.format(-Math.floor(minutes / 1440), "day");
    }
  };
  setInterval(() => { if (!document.hidden && Date.now() - loaded > 50000) refresh(); }, 60000);

  for (const counter of all("[data-countdown]")) {
    const end = Date.now() + Number(counter.dataset.countdown) * 1000;
    const tick = () => {
      const left = Math.ceil((end - Date.now()) / 1000);
      counter.textContent = String(Math.max(0, left));
      if (left > 0) return setTimeout(tick, 250);
      const gone = counter.closest("[data-countdown-hide]");
      if (gone) gone.hidden = true;
    };
    tick();
  }

  // ---- What is captured: who looks, and the records as they come ----

  // The reason is typed once, and holds for every way of looking.
  const reason = one("#reason");
  if (reason) document.addEventListener("submit", (event) => {
    const sent = one("input[type=hidden][name=reason]", event.target);
    if (sent) sent.value = reason.value;
  }, true);

  for (const part of all("[data-looks]")) {
    const follow = () => {
      const source = new EventSource(part.dataset.looks);
      source.onmessage = (event) => { part.innerHTML = event.data; };
      source.addEventListener("over", () => source.close());
      // Refused, because too many pages are open; a browser asks again by itself only when a connection breaks.
      source.onerror = () => { if (source.readyState === EventSource.CLOSED) setTimeout(follow, 3000); };
    };
    follow();
  }

  for (const form of all("form[data-live]")) {
    const list = one(`#${form.dataset.live}`);
    const pause = one("[data-live-pause]", form);
    const start = one("button:not([type])", form);
    const state = one("[data-live-state]", form);
    let reading = null;
    const say = (what) => {
      state.textContent = state.dataset[what];
      start.hidden = what === "on" || what === "over";
      pause.hidden = what !== "on";
    };
    // An event of the stream; says whether it was the last.
    const take = (text) => {
      const lines = text.split("\n");
      const of = (name) => lines.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2));
      if (of("event")[0] === "over") return true;
      const [id] = of("id");
      if (!id) return false;
      form.elements.after.value = id;
      list.insertAdjacentHTML("afterbegin", of("data").join("\n"));
      while (list.children.length > 400) list.lastElementChild.remove();
      return false;
    };
    const read = async (signal) => {
      const answer = await fetch(form.getAttribute("action"), { method: "POST", body: new URLSearchParams(new FormData(form)), signal });
      if (!answer.ok) throw new Error(answer.status === 429 ? "enough" : "off");
      const pieces = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let text = ""; ; ) {
        const { done, value } = await pieces.read();
        if (done) return false;
        text += value;
        for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) if (take(text.slice(0, end))) return true;
      }
    };
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (reading) return;
      reading = new AbortController();
      const { signal } = reading;
      list.hidden = false;
      say("on");
      pause.focus();
      let [isOver, why] = [false, "off"];
      try {
        while (!isOver && !signal.aborted) {
          isOver = await read(signal);
          if (!isOver) await new Promise((resolve) => setTimeout(resolve, 250));
        }
      } catch (error) {
        // Paused, or out of reach, or refused: the button begins again.
        if (error.message === "enough") why = "enough";
      }
      reading = null;
      say(isOver ? "over" : why);
    });
    // A page that nobody looks at reads nothing.
    const stop = () => reading?.abort();
    pause.addEventListener("click", () => {
      stop();
      start.hidden = false;
      start.focus();
    });
    document.addEventListener("visibilitychange", () => { if (document.hidden) stop(); });
  }

  for (const button of all("[data-unfold]")) {
    button.addEventListener("click", () => {
      const folds = all(`#${button.dataset.unfold} details`);
      const isOpen = folds.every((fold) => fold.open);
      for (const fold of folds) fold.open = !isOpen;
    });
  }

  // Left and right fold and unfold, as in any tree.
  document.addEventListener("keydown", (event) => {
    const fold = event.target.closest?.("[data-folds] summary")?.parentElement;
    if (fold && (event.key === "ArrowLeft" || event.key === "ArrowRight")) fold.open = event.key === "ArrowRight";
  });

  // ---- Light and dark: at once here, and kept by the server ----

  for (const form of all("[data-theme-form]")) {
    form.addEventListener("submit", async (event) => {
      const theme = event.submitter?.value;
      if (!theme) return;
      event.preventDefault();
      event.stopPropagation();
      const body = new URLSearchParams(new FormData(form, event.submitter));
      root.dataset.theme = theme;
      for (const button of all("button", form)) button.setAttribute("aria-pressed", String(button.value === theme));
      fetch(form.getAttribute("action"), { method: "POST", body, redirect: "manual" }).catch(() => {});
    });
  }

  // ---- Keyboard: lists, single keys, palette ----

  const press = (element) => {
    if (element.matches("input[type=radio]")) {
      element.click();
      const at = all(".switcher-tab", element.closest(".switcher-tabs")).indexOf(element.closest(".switcher-tab"));
      const panel = all(":scope > .switcher-panel", element.closest(".switcher"))[at];
      const area = panel && one("textarea, input:not([type=hidden])", panel);
      (area ?? element).focus();
      area?.scrollIntoView({ block: "center" });
    } else if (isTyping(element)) {
      element.focus();
      element.select?.();
    } else {
      element.focus();
      element.click();
    }
  };

  const rows = () => all("[data-list] [data-row]").filter(isShown);
  const move = (step) => {
    const list = rows();
    if (list.length === 0) return;
    const here = list.findIndex((row) => row.matches(".here"));
    const next = list[here < 0 ? (step > 0 ? 0 : list.length - 1) : Math.min(list.length - 1, Math.max(0, here + step))];
    for (const row of list) row.classList.toggle("here", row === next);
    (next.matches("tr, li") ? one("a[href]", next) ?? next : next).focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("focusin", (event) => {
    const row = event.target.closest?.("[data-row]");
    if (row) for (const other of rows()) other.classList.toggle("here", other === row);
  });

  const KEYS_OFF = "accord-keys-off";
  const remembered = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
  let hasKeys = "shortcuts" in document.body.dataset && !remembered(KEYS_OFF);
  const keysSwitch = one("[data-keys-switch]");
  if (keysSwitch) {
    keysSwitch.checked = hasKeys;
    keysSwitch.addEventListener("change", () => {
      hasKeys = keysSwitch.checked;
      try { hasKeys ? localStorage.removeItem(KEYS_OFF) : localStorage.setItem(KEYS_OFF, "1"); } catch { /* not kept */ }
    });
  }

  const nameOf = (element) =>
    (element.dataset.keyLabel || element.getAttribute("aria-label") || element.closest("label")?.textContent || element.textContent || "").replace(/\s+/g, " ").trim();
  const keyed = () => all("[data-key]");

  // What the page offers by key stands in the help beside what every page has.
  const keysList = one("[data-keys]");
  if (keysList) {
    for (const element of keyed()) {
      const row = document.createElement("div");
      const term = document.createElement("dt");
      const key = document.createElement("kbd");
      const words = document.createElement("dd");
      key.textContent = element.dataset.key;
      words.textContent = nameOf(element);
      term.append(key);
      row.append(term, words);
      keysList.append(row);
    }
  }

  const palette = one("#palette");
  if (palette) {
    const input = one("input", palette);
    const list = one("ul", palette);
    const none = one(".hint", palette);
    let offers = [];
    let shown = [];
    let at = 0;
    const fold = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
    const mark = () => all("li", list).forEach((item, index) => {
      item.setAttribute("aria-selected", String(index === at));
      if (index === at) {
        input.setAttribute("aria-activedescendant", item.id);
        item.scrollIntoView({ block: "nearest" });
      }
    });
    const filter = () => {
      const words = fold(input.value).split(/\s+/).filter(Boolean);
      shown = offers.filter((offer) => words.every((word) => offer.folded.includes(word))).slice(0, 50);
      at = 0;
      list.replaceChildren(...shown.map((offer, index) => {
        const item = document.createElement("li");
        item.id = `palette-${index}`;
        item.setAttribute("role", "option");
        item.append(offer.name);
        if (offer.key) {
          const key = document.createElement("kbd");
          key.textContent = offer.key;
          item.append(key);
        }
        item.addEventListener("click", () => choose(index));
        return item;
      }));
      none.hidden = shown.length > 0;
      input.removeAttribute("aria-activedescendant");
      mark();
    };
    const choose = (index) => {
      const offer = shown[index];
      if (!offer) return;
      palette.close();
      press(offer.element);
    };
    const open = () => {
      const seen = new Set();
      offers = [];
      const candidates = [...keyed(), ...all("[data-palette], main .page-head :is(a[href], button), nav a[href], #person-menu a[href], main [data-row] a[href]")];
      for (const element of candidates) {
        const name = nameOf(element);
        const what = `${name} ${element.href ?? ""}`;
        if (!name || seen.has(what) || element.disabled) continue;
        seen.add(what);
        offers.push({ element, name, folded: fold(name), key: element.dataset.key });
      }
      input.value = "";
      filter();
      palette.showModal();
      input.focus();
    };
    input.addEventListener("input", filter);
    input.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step && shown.length) {
        event.preventDefault();
        at = (at + step + shown.length) % shown.length;
        mark();
      } else if (event.key === "Enter") {
        event.preventDefault();
        choose(at);
      }
    });
    palette.addEventListener("click", (event) => { if (event.target === palette) palette.close(); });
    document.addEventListener("keydown", (event) => {
      if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k") {
        event.preventDefault();
        palette.open ? palette.close() : open();
      }
    });
  }

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing) return;
    if (event.key === "Escape" && isTyping(event.target) && !event.target.closest("[popover], dialog")) return event.target.blur();
    if (!hasKeys || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (event.target.closest?.("dialog, [popover]:popover-open")) return;
    if (event.key === "j" || event.key === "k") {
      event.preventDefault();
      return move(event.key === "j" ? 1 : -1);
    }
    const target = keyed().find((element) => element.dataset.key === event.key);
    if (!target) return;
    event.preventDefault();
    press(target);
  });
})();
