"use strict";
// The page is whole without this: it moves through slices and steps. State is (z, step); `draw` shows it.
const one = (selector) => document.querySelector(selector);
const all = (selector) => [...document.querySelectorAll(selector)];
const view = one("#view"), rail = one("#rail"), slider = one("#slice");
const cards = all("button.card"), marks = all(".mark"), spans = all(".span");
const {slices: depth, columns, width, height} = Object.fromEntries(
  Object.entries(view.dataset).map(([name, value]) => [name, Number(value)]));
let z = Number(view.dataset.z);
let step = Math.max(0, cards.findIndex((card) => card.dataset.look));

function draw() {
  for (const sheet of all(".sheet")) {
    sheet.setAttribute("x", -(z % columns) * width);
    sheet.setAttribute("y", -Math.floor(z / columns) * height);
    sheet.toggleAttribute("hidden", sheet.classList.contains("seen") !== one("#pixels").checked);
  }
  const look = cards.length ? cards[step].dataset.look : "";
  for (const mark of marks) {
    const cut = Number(mark.dataset.z1) < z + 1 && z < Number(mark.dataset.z2);
    mark.toggleAttribute("hidden", !(cut && one("#boxes").checked));
  }
  for (const shape of [...marks, ...spans]) shape.classList.toggle("on", shape.dataset.look === look);
  cards.forEach((card, i) => i === step ? card.setAttribute("aria-current", "step") : card.removeAttribute("aria-current"));
  if (depth > 1) {
    slider.value = z;
    one("#here").setAttribute("x", z);
    one("#where").textContent = `slice ${z} (0 to ${depth - 1})`;
  }
}

function show(slice) {
  z = Math.min(Math.max(Math.floor(slice), 0), depth - 1);
  draw();
}

function go(to) {
  if (!cards.length) return;
  step = Math.min(Math.max(to, 0), cards.length - 1);
  const mark = marks.find((m) => m.dataset.look === cards[step].dataset.look);
  if (mark) z = Math.floor((Number(mark.dataset.z1) + Number(mark.dataset.z2)) / 2);
  show(z);
}

const flip = (box) => () => { box.checked = !box.checked; draw(); };
const keys = {
  ArrowRight: () => show(z + 1), ArrowLeft: () => show(z - 1),
  ArrowDown: () => go(step + 1), ArrowUp: () => go(step - 1),
  b: flip(one("#boxes")), m: flip(one("#pixels")),
};
document.addEventListener("keydown", (event) => {
  const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
  act();
  event.preventDefault();
});
cards.forEach((card, i) => card.addEventListener("click", () => go(i)));
for (const box of [one("#boxes"), one("#pixels")]) box.addEventListener("change", draw);
if (depth > 1) {
  slider.addEventListener("input", () => show(Number(slider.value)));
  rail.addEventListener("click", (event) => {
    const {left, width: long} = rail.getBoundingClientRect();
    show((event.clientX - left) / long * depth);
  });
}
draw();
document.documentElement.dataset.ready = "";
