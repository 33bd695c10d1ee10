// Behaviour for pages that already work without it. Everything hangs on data-* attributes.
//
//   data-copy="text"             copies the text, says so in the live region
//   data-focus                   takes the focus when the page loads (error summaries)
//   data-count="name"            shows how many boxes of that name are ticked ("2 of 3 chosen")
//   data-poll                    sends the event "poll" to the element on a schedule that slows down
//   data-announce="text"         is read out when the text differs from the last one on this page
//   data-checked-at="zone"       shows the time of the last answered poll, in that time zone
//   data-submit-once             a form that is sent once; its button says so

const live = () => document.getElementById("live");

function say(text) {
  const region = live();
  if (region && text) region.textContent = text;
}

document.body.classList.remove("no-script");

// Copy ---------------------------------------------------------------------------------------------------------------

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {
    const area = document.createElement("textarea");
    area.value = button.dataset.copy;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  button.dataset.copied = "";
  say(button.dataset.copiedText || "");
  setTimeout(() => delete button.dataset.copied, 2000);
});

// Counting ticked boxes ----------------------------------------------------------------------------------------------

function count(output) {
  const ticked = document.querySelectorAll(`input[type=checkbox][name="${output.dataset.count}"]:checked`).length;
  const text = output.dataset.countText.replace("{n}", String(ticked));
  if (output.textContent !== text) output.textContent = text;
}

document.addEventListener("change", (event) => {
  if (event.target.matches("input[type=checkbox]")) document.querySelectorAll("[data-count]").forEach(count);
});

// Polling our own row: every 3 s in the first minute, then 7 s, after five minutes 30 s; asleep in a hidden tab --------

const started = Date.now();

function pause() {
  const seconds = (Date.now() - started) / 1000;
  return seconds < 60 ? 3000 : seconds < 300 ? 7000 : 30000;
}

function poll() {
  if (!document.hidden) document.querySelectorAll("[data-poll]").forEach((node) => node.dispatchEvent(new Event("poll")));
  setTimeout(poll, pause());
}

setTimeout(poll, 3000);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) document.querySelectorAll("[data-poll]").forEach((node) => node.dispatchEvent(new Event("poll")));
});

let announced = document.querySelector("[data-announce]")?.dataset.announce ?? "";
let open = [];
let filled = [];
let focused = null;

// What the person has done on the page since the request was sent counts for more than what the answer says of it.
const fields = (node) => [...node.querySelectorAll("input:not([type=hidden]), select, textarea")];
const isBox = (field) => field.type === "checkbox" || field.type === "radio";
const keyOf = (field) => `${field.tagName} ${field.name} ${isBox(field) ? field.value : field.form?.querySelector("[name=domain]")?.value ?? ""}`;
const lookOf = (node) => `${node.tagName} ${node.getAttribute("href")} ${node.textContent.trim()}`;

document.addEventListener("htmx:beforeSwap", (event) => {
  const { target, xhr, pathInfo } = event.detail;
  if (xhr.responseURL && new URL(xhr.responseURL).pathname !== new URL(pathInfo.finalRequestPath, location.href).pathname) {
    // Signed out meanwhile: the answer is the sign-in page, which belongs into the window and not into this part of it.
    event.detail.shouldSwap = false;
    location.reload();
    return;
  }
  open = [...target.querySelectorAll("details[open][id]")].map((node) => node.id);
  filled = fields(target).map((field) => [keyOf(field), isBox(field) ? field.checked : field.value]);
  focused = target.contains(document.activeElement) && !document.activeElement.id ? lookOf(document.activeElement) : null;
});

document.addEventListener("htmx:afterSwap", () => {
  const now = new Map(fields(document).map((field) => [keyOf(field), field]));
  filled.forEach(([key, value]) => {
    const field = now.get(key);
    if (!field || field.disabled) return;
    if (isBox(field)) field.checked = value;
    else if (field.tagName !== "SELECT" || [...field.options].some((option) => option.value === value)) field.value = value;
  });
  filled = [];
});

document.addEventListener("htmx:afterSettle", () => {
  open.forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
  document.querySelectorAll("[data-count]").forEach(count);
  if (focused && document.activeElement === document.body)
    [...document.querySelectorAll("main a, main button, main summary")].find((node) => lookOf(node) === focused)?.focus();
  focused = null;
  const text = document.querySelector("[data-announce]")?.dataset.announce ?? "";
  if (text !== announced) say(text);
  announced = text;
});

document.addEventListener("htmx:afterRequest", (event) => {
  const elt = event.detail.elt;
  if (!event.detail.successful || !elt.matches("[data-poll]")) return;
  document.querySelectorAll("[data-checked-at]").forEach((node) => {
    const shape = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZone: node.dataset.checkedAt };
    node.textContent = new Date().toLocaleTimeString(document.documentElement.lang, shape);
  });
});

// Forms --------------------------------------------------------------------------------------------------------------

document.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-submit-once]");
  if (!form) return;
  if (form.dataset.sent !== undefined) return event.preventDefault();
  form.dataset.sent = "";
  form.querySelectorAll("button").forEach((button) => button.setAttribute("aria-disabled", "true"));
});

// A page taken from the browser's back-forward cache may be sent again.
window.addEventListener("pageshow", () => {
  document.querySelectorAll("[data-submit-once]").forEach((form) => {
    delete form.dataset.sent;
    form.querySelectorAll("button").forEach((button) => button.removeAttribute("aria-disabled"));
  });
});

document.querySelectorAll("[data-count]").forEach(count);
document.querySelector("[data-focus]")?.focus();
