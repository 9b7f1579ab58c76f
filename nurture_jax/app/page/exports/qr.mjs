// A visit as a QR code: one short line that a form on another phone can read.

import qrcode from "../libraries/qrcode.mjs";
import {cell} from "./table.mjs";

/**
 * "infant,visit,weight,low,high,advice,research": what a form asks for; numbers in g. Cells are as
 * in a CSV file, so a name with a comma has quotation marks around it.
 */
export function lineOf(record) {
  const weight = record.found?.findings.find((each) => each.measure === "weight_g");
  const numbers = weight ? [weight.estimate, weight.low, weight.high] : [NaN, NaN, NaN];
  return [record.infant_id, record.time.slice(0, 10),
    ...numbers.map((value) => Number.isFinite(value) ? value.toFixed(0) : ""),
    record.found?.advice.lineName ?? "refused", "research"].map(cell).join(",");
}

/** The code as the path of an SVG with its side in cells. */
export function qrPath(text) {
  const code = qrcode(0, "M");
  code.addData(unescape(encodeURIComponent(text)), "Byte"); // as UTF-8
  code.make();
  const side = code.getModuleCount();
  let path = "";
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) if (code.isDark(y, x)) path += `M${x} ${y}h1v1h-1z`;
  }
  return {path, side};
}
