"use strict";
// Filters; without a script the page shows everything. Values begin with "=", so that an empty one differs from "all".
(() => {
  const byId = (id) => document.getElementById(id);
  const form = byId("filters");
  const words = byId("words");
  const moved = byId("moved-only");
  const wanted = (name) => form.querySelector(`[data-filter="${name}"]`).value;
  const cards = [...document.querySelectorAll(".card")].map((card) => ({
    card,
    category: card.dataset.category,
    about: [...card.querySelectorAll("h3, .chips, .image")],
    languages: card.dataset.languages.split("\n"),
    questions: [...card.querySelectorAll(".question")],
  }));
  const texts = new Map();
  const lowered = (element, ...parts) => {
    if (!texts.has(element)) {
      texts.set(element, parts.map((part) => part.textContent).join("\n").toLowerCase());
    }
    return texts.get(element);
  };
  const filter = () => {
    const task = wanted("task");
    const category = wanted("category");
    const language = wanted("language");
    const text = words.value.toLowerCase();
    let shown = 0;
    let all = 0;
    for (const one of cards) {
      const fits = (!category || one.category === category) && (!language || one.languages.includes(language));
      let some = false;
      for (const question of one.questions) {
        const show =
          fits &&
          (!task || question.dataset.task === task) &&
          (!moved?.checked || "moved" in question.dataset) &&
          (!text || lowered(question, ...one.about, question).includes(text));
        question.hidden = !show;
        some ||= show;
        shown += show;
        all += 1;
      }
      one.card.hidden = !some;
    }
    byId("shown").textContent = `${shown.toLocaleString("en")} of ${all.toLocaleString("en")} questions`;
    byId("nothing").hidden = shown > 0;
  };
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();
})();
