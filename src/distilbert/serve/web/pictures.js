"use strict";

// Answers as pictures. Texts come in as text only: nothing that was typed or answered is read as HTML.

function make(kind, text, settings = {}) {
  const element = Object.assign(document.createElement(kind), settings);
  if (text !== undefined) element.textContent = text;
  return element;
}

function percent(score) {
  return `${(100 * score).toFixed(1)}%`;
}

/** Rows of [what, number between 0 and 1], as bars. */
function bars(rows, told = percent) {
  const list = make("ol", undefined, { className: "bars" });
  for (const [name, share] of rows) {
    const item = make("li");
    item.style.setProperty("--share", `${100 * Math.min(1, Math.max(0, share))}%`);
    item.append(make("span", name), make("span", told(share)));
    list.append(item);
  }
  return list;
}

/** A text with spans of characters marked; these are code points, where JavaScript counts other units. */
function passage(text, spans) {
  const characters = Array.from(text);
  const piece = (from, to) => characters.slice(from, to).join("");
  const whole = make("p", undefined, { className: "passage" });
  let at = 0;
  for (const { start, end, name, score } of [...spans].sort((a, b) => a.start - b.start)) {
    if (start < at) continue;
    whole.append(piece(at, start));
    const mark = make("mark", piece(start, end), { title: percent(score) });
    mark.append(make("small", name));
    whole.append(mark);
    at = end;
  }
  whole.append(piece(at, characters.length));
  return whole;
}

/** Numbers side by side, as dark as they are large. */
function strip(numbers) {
  const most = Math.max(...numbers.map(Math.abs)) || 1;
  const row = make("div", undefined, { className: "strip", role: "img" });
  row.setAttribute("aria-label", `a vector of ${numbers.length} numbers`);
  for (const number of numbers) {
    const cell = make("i", undefined, { className: number < 0 ? "below" : "", title: number.toFixed(4) });
    cell.style.opacity = Math.abs(number) / most;
    row.append(cell);
  }
  return row;
}

/** Tokens as buttons, as dark as the one that is chosen heeds them; the same buttons as long as they are the same. */
function heed(place, tokens, head, from, choose) {
  const same = place.children.length === tokens.length && [...place.children].every((own, i) => own.textContent === tokens[i]);
  if (!same) place.replaceChildren(...tokens.map((token) => make("button", token, { type: "button", className: "token" })));
  [...place.children].forEach((button, i) => {
    button.style.setProperty("--share", `${100 * head[from][i]}%`);
    button.title = percent(head[from][i]);
    button.setAttribute("aria-pressed", String(i === from));
    button.setAttribute("aria-label", `${tokens[i]}, ${percent(head[from][i])}`);
    button.onclick = () => choose(i);
  });
}

function lines(text) {
  return text.split("\n").map((line) => line.trim()).filter(Boolean);
}

/** Of each task: its fields, what of them is asked, and the picture of the answer. */
const TASKS = {
  "text-classification": {
    fields: { text: "Text" },
    asked: ({ text }) => ({ inputs: text }),
    picture: (answer) => bars(answer[0].map(({ label, score }) => [label, score]), (score) =>
      score < 0 || score > 1 ? score.toFixed(3) : percent(score)),
  },
  "zero-shot-classification": {
    fields: { text: "Text", labels: "Classes, a line each" },
    asked: ({ text, labels }) => ({ inputs: text, parameters: { candidate_labels: lines(labels) } }),
    picture: (answer) => bars(answer.labels.map((label, i) => [label, answer.scores[i]])),
  },
  "token-classification": {
    fields: { text: "Text" },
    asked: ({ text }) => ({ inputs: text }),
    picture: (answer, { text }) => passage(text, answer.map((one) => ({ ...one, name: one.entity_group }))),
    nothing: "Nothing is named in it.",
  },
  "question-answering": {
    fields: { question: "Question", context: "Context" },
    asked: ({ question, context }) => ({ inputs: { question, context } }),
    picture: (answer, { context }) => passage(context, [{ ...answer, name: percent(answer.score) }]),
  },
  "fill-mask": {
    fields: { text: "Text with [MASK]" },
    asked: ({ text }) => ({ inputs: text }),
    picture: (answer) => {
      const masks = Array.isArray(answer[0]) ? answer : [answer];
      const all = make("div");
      all.append(...masks.map((own) => bars(own.map((one) => [`${one.token_str} — ${one.sequence}`, one.score]))));
      return all;
    },
  },
  "sentence-similarity": {
    fields: { source: "Text", others: "Texts to compare with it, a line each" },
    asked: ({ source, others }) => ({ inputs: { source_sentence: source, sentences: lines(others) } }),
    picture: (answer, { others }) => bars(answer.map((own, i) => [lines(others)[i], own]), (own) => own.toFixed(3)),
  },
  "sentence-embedding": {
    fields: { text: "Text" },
    asked: ({ text }) => ({ inputs: text }),
    picture: (answer) => strip(answer[0]),
  },
  "sparse-embedding": {
    fields: { text: "Text" },
    asked: ({ text }) => ({ inputs: text }),
    picture: async (answer, given, words) => {
      const best = [...answer].sort((a, b) => b.value - a.value).slice(0, 20);
      const most = best.length ? best[0].value : 1;
      const named = best.length ? await words(best.map(({ index }) => index)) : [];
      return bars(best.map(({ value }, i) => [named[i], value / most]), (share) => (share * most).toFixed(3));
    },
  },
  "feature-extraction": {
    fields: { text: "Text" },
    asked: ({ text }) => ({ inputs: text }),
    picture: (answer) => {
      const all = make("div");
      all.append(...answer[0].slice(0, 32).map(strip));
      return all;
    },
  },
  "multiple-choice": {
    fields: { question: "Question", choices: "Choices, a line each" },
    asked: ({ question, choices }) => ({ inputs: { question, choices: lines(choices) } }),
    picture: (answer, { choices }) => bars(answer.scores.map((score, i) => [lines(choices)[i], score])),
  },
};
