"use strict";

// The OpenAPI document as a page: each route with its fields, and a way to try it.

const byId = (id) => document.getElementById(id);

/** What a schema says, references followed. */
function resolved(schema, whole) {
  while (schema?.$ref) schema = schema.$ref.slice(2).split("/").reduce((own, part) => own?.[part], whole);
  return schema ?? {};
}

/** A value that a schema might mean. */
function example(schema, whole, depth = 0) {
  const own = resolved(schema, whole);
  if (own.example !== undefined) return own.example;
  if (own.default !== undefined && own.default !== null) return own.default;
  if (own.anyOf || own.oneOf) return example((own.anyOf ?? own.oneOf)[0], whole, depth);
  if (own.enum) return own.enum[0];
  if (own.const !== undefined) return own.const;
  if (own.properties && depth < 5) {
    const needed = new Set(own.required ?? Object.keys(own.properties));
    const shown = Object.entries(own.properties).filter(([name]) => needed.has(name));
    return Object.fromEntries(shown.map(([name, inner]) => [name, example(inner, whole, depth + 1)]));
  }
  if (own.type === "array") return depth < 5 ? [example(own.items, whole, depth + 1)] : [];
  return { string: "a fine day", integer: 1, number: 0.5, boolean: true, object: {}, null: null }[own.type] ?? "a fine day";
}

/** A schema's kind in a few words. */
function kind(schema, whole) {
  const own = resolved(schema, whole);
  if (own.anyOf || own.oneOf) return (own.anyOf ?? own.oneOf).map((one) => kind(one, whole)).join(" or ");
  if (own.enum) return own.enum.map((one) => JSON.stringify(one)).join(" or ");
  if (own.type === "array") return `list of ${kind(own.items, whole)}`;
  return own.title && own.properties ? own.title : own.type ?? "anything";
}

function field(name, place) {
  const label = make("label", `${name} (${place})`);
  label.append(make("input", undefined, { name }));
  return label;
}

function route(path, method, told, whole) {
  const around = make("details", undefined, { className: "route" });
  const summary = make("summary");
  summary.append(make("code", `${method.toUpperCase()} ${path}`), ` ${told.summary ?? ""}`);
  around.append(summary);
  if (told.description) around.append(make("p", told.description));
  const parameters = (told.parameters ?? []).filter((one) => one.in === "path" || one.in === "query");
  const fields = parameters.map((one) => field(one.name, one.in));
  const form = make("form");
  form.append(...fields);
  const content = told.requestBody?.content ?? {};
  const [type] = Object.keys(content);
  let body = null;
  if (type) {
    const media = content[type];
    const schema = resolved(media.schema, whole);
    for (const [name, inner] of Object.entries(schema.properties ?? {})) {
      const needed = (schema.required ?? []).includes(name) ? "" : ", may be left out";
      const line = make("p", undefined, { className: "hint" });
      line.append(make("code", name), ` ${kind(inner, whole)}${needed}. ${resolved(inner, whole).description ?? ""}`);
      form.append(line);
    }
    const [first] = Object.values(media.examples ?? {});
    const given = first?.value ?? example(schema, whole);
    body = make("textarea", undefined, { value: typeof given === "string" ? given : JSON.stringify(given, null, 2) });
    const label = make("label", `Body (${type})`);
    label.append(body);
    form.append(label);
  }
  const answer = make("pre", undefined, { hidden: true });
  form.append(make("button", "Try", { type: "submit" }), answer);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    answer.hidden = false;
    answer.textContent = "…";
    answer.textContent = await tried(path, method, parameters, new FormData(form), type, body?.value);
  });
  around.append(form);
  return around;
}

async function tried(path, method, parameters, given, type, body) {
  const query = new URLSearchParams();
  let place = path.slice(1);
  for (const { name, in: where } of parameters) {
    const value = String(given.get(name));
    if (where === "path") place = place.replace(`{${name}}`, encodeURIComponent(value));
    else if (value) query.set(name, value);
  }
  const key = byId("key").value;
  const headers = { ...(type ? { "content-type": type } : {}), ...(key ? { authorization: `Bearer ${key}` } : {}) };
  try {
    const reply = await fetch(`${place || "./"}${query.size ? `?${query}` : ""}`, { method: method.toUpperCase(), headers, body });
    const text = await reply.text();
    return `${reply.status}\n${text.slice(0, 20000)}`;
  } catch {
    return "The server cannot be reached. Is it still running?";
  }
}

async function show() {
  try {
    const whole = await (await fetch("openapi.json")).json();
    const groups = new Map();
    for (const [path, methods] of Object.entries(whole.paths)) {
      for (const [method, told] of Object.entries(methods)) {
        const name = told.tags?.[0] ?? "others";
        if (!groups.has(name)) groups.set(name, make("section"));
        if (!groups.get(name).children.length) groups.get(name).append(make("h2", name));
        groups.get(name).append(route(path, method, told, whole));
      }
    }
    byId("routes").replaceChildren(...groups.values());
  } catch {
    byId("trouble").textContent = "The server does not say what it has. Is it still running?";
  }
}

show();
