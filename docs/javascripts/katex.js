// Formulas: pymdownx.arithmatex writes \( \) and \[ \], KaTeX draws them.
document$.subscribe(({ body }) => {
  if (typeof renderMathInElement === "undefined") return;
  renderMathInElement(body, {
    delimiters: [
      { left: "\\[", right: "\\]", display: true },
      { left: "\\(", right: "\\)", display: false },
    ],
  });
});
