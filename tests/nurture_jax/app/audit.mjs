// What Lighthouse and WCAG 2.2 ask of what is on show; gives sentences about what is not so.
() => {
  const LEAST_TARGET_PX = 44;
  const LEAST_RING = {contrast: 3, px: 2};
  const visible = (element) => element.checkVisibility({opacityProperty: true, visibilityProperty: true})
    && element.getClientRects().length > 0 && !element.closest("[aria-hidden=true]");
  const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = (rgb) => rgb.slice(0, 3).map((each) => each / 255)
    .map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
    .reduce((sum, each, i) => sum + each * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, alpha = 1] = numbers(getComputedStyle(at).backgroundColor);
      if (alpha === 1) return [r, g, b];
      if (alpha > 0) return null; // half transparent: nothing of the page is
    }
    return [255, 255, 255];
  };
  const contrast = (element, colour) => {
    const under = ground(element);
    if (!under) return 0;
    const [low, high] = [luminance(numbers(colour)), luminance(under)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const about = (element) => `${element.localName}#${element.id} ${element.textContent.trim().slice(0, 30)}`;
  const wrong = [];
  const texts = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const {parentElement, data} = walker.currentNode;
    if (data.trim() && parentElement.localName !== "option" && visible(parentElement)) texts.add(parentElement);
  }
  for (const field of document.querySelectorAll("input, select")) if (visible(field)) texts.add(field);
  for (const element of texts) {
    const style = getComputedStyle(element);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const found = contrast(element, element instanceof SVGElement ? style.fill : style.color);
    if (found < (large ? 3 : 4.5)) wrong.push(`contrast ${found.toFixed(2)}: ${about(element)}`);
  }
  const targets = document.querySelectorAll("button, a, select, input, label:has(input)");
  for (const element of targets) {
    const hidden = element.matches("input[type=file], input[type=radio]");
    if (!visible(element) || hidden) continue; // its label is what is touched
    if (element.matches("label") && !element.matches(".button, .choices label")) continue;
    const {width, height} = element.getBoundingClientRect();
    if (Math.min(width, height) < LEAST_TARGET_PX) {
      wrong.push(`target ${width.toFixed(0)} x ${height.toFixed(0)}: ${about(element)}`);
    }
  }
  const before = document.activeElement;
  const rings = [...document.querySelectorAll("button, a, select, input")].filter(visible)
    .filter(({disabled}) => !disabled);
  for (const element of rings) {
    element.focus({focusVisible: true, preventScroll: true});
    // That of a choice or of a file is drawn around its label; all are drawn outside.
    const ringed = [element, element.closest("label")].filter(Boolean).find((each) =>
      each.checkVisibility() && getComputedStyle(each).opacity !== "0"
      && getComputedStyle(each).outlineStyle === "solid");
    const {outlineColor, outlineWidth} = ringed ? getComputedStyle(ringed) : {};
    const found = ringed ? contrast(ringed.parentElement, outlineColor) : 0;
    if (found < LEAST_RING.contrast || parseFloat(outlineWidth) < LEAST_RING.px) {
      wrong.push(`focus ring ${found.toFixed(2)}: ${about(element)}`);
    }
  }
  if (before instanceof HTMLElement) before.focus({preventScroll: true});
  if (document.activeElement !== before) document.activeElement.blur();
  for (const element of document.querySelectorAll("body *")) {
    if (!visible(element) || element.closest("svg svg, .stage")) continue;
    const {left, right} = element.getBoundingClientRect();
    if (right > innerWidth + 1 || left < -1) wrong.push(`beside the screen: ${about(element)}`);
  }
  if (document.documentElement.scrollWidth > innerWidth) wrong.push("scrolls to the side");
  const ids = [...document.querySelectorAll("[id]")].map(({id}) => id);
  if (new Set(ids).size < ids.length) wrong.push(`ids twice: ${ids.filter((id, i) => ids.indexOf(id) < i)}`);
  if (document.querySelectorAll("h1").length !== 1) wrong.push("not one h1");
  const levels = [...document.querySelectorAll("h1, h2, h3, h4")].filter(visible)
    .map(({localName}) => Number(localName[1]));
  if (levels.some((level, i) => level > (levels[i - 1] ?? 0) + 1)) wrong.push(`headings ${levels}`);
  return {wrong, looked_at: [texts.size, targets.length, rings.length]};
}
