// Keys, and forms that change the page in place. Without this script every form works.

const rows = () => [...document.querySelectorAll("[data-row]")];
const here = () => document.querySelector("[data-row].here") || document.querySelector(".turn:target");

function mark(row) {
  for (const other of document.querySelectorAll(".here")) other.classList.remove("here");
  if (!row) return;
  row.classList.add("here");
  row.scrollIntoView({ block: "nearest" });
}

function move(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(here());
  mark(all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + step))]);
}

// The button of a key: of the row that is marked, else the last one of the page.
function press(key) {
  const row = here();
  const within = row && row.querySelector(`[data-key="${key}"]`);
  const all = [...document.querySelectorAll(`[data-key="${key}"]`)];
  // Not of a form that is folded away.
  const found = [...all, within].filter((each) => each && each.checkVisibility()).pop();
  if (!found) return false;
  if (found.tagName === "SUMMARY") {
    found.parentElement.open = true;
    const field = found.parentElement.querySelector("textarea");
    if (field) field.focus();
  } else {
    found.click();
  }
  return true;
}

function open() {
  const row = here();
  const link = row && row.querySelector("[data-open]");
  if (link) link.click();
  return Boolean(link);
}

const KEYS = {
  j: () => move(1),
  k: () => move(-1),
  "/": () => document.getElementById("q").focus(),
  "?": () => document.getElementById("keys").showModal(),
};

// After a `g` the next letter leads to a page of the menu.
let going = false;
function go(key) {
  const link = document.querySelector(`.menu [data-go="${key}"]`);
  if (link) link.click();
}

document.addEventListener("keydown", (event) => {
  const target = event.target;
  const writing = target.closest("input, textarea, select, [contenteditable]");
  if (writing) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && target.form) {
      event.preventDefault();
      target.form.requestSubmit();
    } else if (event.key === "Escape") {
      target.blur();
    }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.getElementById("keys").open) return;
  const went = going;
  going = event.key === "g" && !went;
  if (went && /^[a-z]$/.test(event.key)) {
    event.preventDefault();
    go(event.key);
  } else if (event.key === "Enter") {
    if (target.closest("a, button, summary")) return;
    if (open() || press("Enter")) event.preventDefault();
  } else if (KEYS[event.key]) {
    event.preventDefault();
    KEYS[event.key]();
  } else if (/^[a-z0-9]$/.test(event.key) && press(event.key)) {
    event.preventDefault();
  }
});

// A judgement is stored, and the page that it leads to takes the place of this one.
let sending = false;
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("[data-judge]")) return;
  event.preventDefault();
  if (sending) return;
  sending = true;
  const fields = new URLSearchParams(new FormData(form));
  const button = event.submitter;
  if (button && button.name) fields.set(button.name, button.value);
  const seq = (here() || form.closest("[data-row]") || {}).id;
  try {
    const answer = await fetch(form.action, { method: "POST", body: fields, headers: { accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const main = page.querySelector("main");
    if (!main) throw new Error("no page");
    document.querySelector("main").replaceWith(document.adoptNode(main));
    document.title = page.title;
    if (answer.redirected) history.replaceState(null, "", answer.url);
    const row = seq && document.getElementById(seq);
    if (row) mark(row);
    else window.scrollTo(0, 0);
  } catch {
    form.submit();
  } finally {
    sending = false;
  }
});

for (const row of rows()) {
  row.addEventListener("click", () => mark(row));
}
