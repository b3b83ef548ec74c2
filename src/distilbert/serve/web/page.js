"use strict";

const at = (id) => document.getElementById(id);
const LONG = new Set(["text", "context", "labels", "others", "choices", "source"]);

function headers() {
  const key = at("key").value;
  return { "content-type": "application/json", ...(key ? { authorization: `Bearer ${key}` } : {}) };
}

async function told(path, settings = {}) {
  let reply;
  try {
    reply = await fetch(path, { ...settings, headers: headers() });
  } catch {
    throw new Error("The server cannot be reached. Is it still running?");
  }
  const body = await reply.json().catch(() => ({}));
  if (reply.status === 401) at("key-field").hidden = false;
  if (!reply.ok) throw new Error(typeof body.error === "string" ? body.error : body.error?.message ?? `Status ${reply.status}.`);
  return [body, reply.headers];
}

function trouble(error) {
  at("trouble").textContent = error ? error.message : "";
}

/** Options of a choice, the first of them chosen. */
function offer(select, names) {
  select.replaceChildren(...names.map((name) => make("option", name, { value: name })));
}

function showFields() {
  const before = values();
  const fields = Object.entries(TASKS[at("task").value]?.fields ?? {});
  at("fields").replaceChildren(...fields.map(([name, label]) => {
    const field = make(LONG.has(name) ? "textarea" : "input", undefined, { name, id: `field-${name}`, required: true });
    field.value = before[name] ?? "";
    const around = make("label", label, { htmlFor: field.id });
    around.append(field);
    return around;
  }));
}

function values() {
  return Object.fromEntries([...at("fields").querySelectorAll("[name]")].map((field) => [field.name, field.value]));
}

async function showTasks() {
  try {
    const [info] = await told(`info?model=${encodeURIComponent(at("model").value)}`);
    offer(at("task"), info.tasks.filter((task) => task in TASKS));
    trouble(null);
  } catch (error) {
    offer(at("task"), []);
    trouble(error);
  }
  showFields();
}

async function showModels() {
  try {
    const [models] = await told("v1/models");
    offer(at("model"), models.data.map((model) => model.id));
    await showTasks();
  } catch (error) {
    trouble(error);
  }
}

/** A word of a shell's. */
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function showCall(path, body) {
  const place = new URL(path, document.baseURI).href;
  const key = at("key").value ? ` -H 'authorization: Bearer KEY'` : "";
  at("curl").textContent = `curl ${quoted(place)} -H 'content-type: application/json'${key} -d ${quoted(body)}`;
  at("call").hidden = false;
}

/** Tokens of a model's vocabulary, as words. */
async function words(model, ids) {
  const body = JSON.stringify({ ids: ids.map((id) => [id]), skip_special_tokens: false });
  const [found] = await told(`decode?model=${encodeURIComponent(model)}`, { method: "POST", body });
  return found;
}

/** What was asked last, of whose tokens attention can be shown. */
let looked = null;

function offerAttention(model, given) {
  looked = { model, text: given.text ?? given.context ?? given.source ?? given.question, layers: new Map(), from: 0 };
  at("attend").hidden = false;
  at("attend").open = false;
  at("tokens").replaceChildren();
  offer(at("layer"), ["1"]);
  offer(at("head"), ["1"]);
}

async function showAttention() {
  if (!looked || !at("attend").open) return;
  const own = looked;
  const layer = at("layer").selectedIndex;
  if (!own.layers.has(layer)) {
    const body = JSON.stringify({ inputs: own.text, layer });
    own.layers.set(layer, told(`models/${encodeURIComponent(own.model)}/attention`, { method: "POST", body }));
  }
  let found;
  try {
    [found] = await own.layers.get(layer);
    if (own !== looked || layer !== at("layer").selectedIndex) return;
    trouble(null);
  } catch (error) {
    own.layers.delete(layer);
    if (own === looked) trouble(error);
    return;
  }
  const { tokens, layers, attention } = found;
  if (at("layer").length !== layers) offer(at("layer"), numbered(layers));
  if (at("head").length !== attention.length) offer(at("head"), numbered(attention.length));
  at("layer").selectedIndex = layer;
  const head = attention[at("head").selectedIndex];
  heed(at("tokens"), tokens, head, own.from, (chosen) => {
    own.from = chosen;
    showAttention();
  });
}

function numbered(count) {
  return Array.from({ length: count }, (_, i) => String(i + 1));
}

/** How often was asked: an answer to what was asked before the last is not shown. */
let turns = 0;

async function ask() {
  const task = at("task").value;
  if (!task) return showModels();
  const given = values();
  const model = at("model").value;
  const path = `models/${encodeURIComponent(model)}/pipeline/${task}`;
  const body = JSON.stringify(TASKS[task].asked(given));
  const turn = ++turns;
  at("answer").replaceChildren();
  at("attend").hidden = true;
  at("facts").textContent = "";
  showCall(path, body);
  try {
    const begun = performance.now();
    const [answer, found] = await told(path, { method: "POST", body });
    const spent = performance.now() - begun;
    if (turn !== turns) return;
    const { picture, nothing } = TASKS[task];
    const shown = await picture(answer, given, (ids) => words(model, ids));
    if (turn !== turns) return;
    at("answer").append(shown);
    offerAttention(model, given);
    if (nothing && answer.length === 0) at("answer").append(make("p", nothing));
    const facts = [`${spent.toFixed(0)} ms`, `${found.get("x-compute-tokens")} tokens`];
    if (found.get("x-windowed-inputs")) facts.push("long: read in windows");
    if (found.get("x-dropped-tokens")) facts.push(`${found.get("x-dropped-tokens")} tokens were cut off`);
    at("facts").textContent = facts.join(", ");
    trouble(null);
    at("answer").focus();
  } catch (error) {
    if (turn === turns) trouble(error);
  }
}

at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
at("ask").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("ask").requestSubmit();
});
at("model").addEventListener("change", showTasks);
at("task").addEventListener("change", showFields);
at("attend").addEventListener("toggle", showAttention);
at("layer").addEventListener("change", showAttention);
at("head").addEventListener("change", showAttention);
at("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(at("curl").textContent);
    at("copy").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(at("curl"));
  }
});
showModels();
