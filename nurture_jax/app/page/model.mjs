// The exported network in this browser: what goes in, what comes out. Runs inside a worker.
// Inputs: frames [b, t, size, size, 3] bytes, tabular and tabular_mask [b, 4],
// reference_cm [b]. Outputs: mean and scale [b, 5], not a number of a measure that was not learnt;
// shares [b, t, h, w, 3], keypoints [b, t, 19, 3] and features [b, f], each left out
// where the network has none.

import * as ort from "./libraries/ort.wasm.min.mjs";
import {toldCm} from "./clinic/scale.mjs";
import {Problem} from "./problem.mjs";

// The smallest module with a SIMD instruction: a function that gives a vector of zeros.
const SIMD = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10,
  1, 8, 0, 65, 0, 253, 15, 253, 98, 11);

/** The network of a page at `base`. Throws a Problem if it is altered or cannot run here. */
export async function openModel(base, card) {
  if (!WebAssembly.validate(SIMD)) throw new Problem("no_simd");
  const response = await fetch(new URL("model.onnx", base));
  if (!response.ok) throw new Problem("no_model");
  const bytes = await response.arrayBuffer();
  if (await sha256(bytes) !== card.sha256) throw new Problem("altered_model");
  ort.env.wasm.wasmPaths = new URL("libraries/", base).href;
  // Several threads need the isolation that the headers of the server give.
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, 4) : 1;
  return ort.InferenceSession.create(bytes, {executionProviders: ["wasm"],
    extra: nested(card.session_options)});
}

/**
 * What the network says of one clip.
 *
 * clip: {frames: bytes [t, size, size, 3], count, size}; visit: what is known, null where it is not.
 * Gives {estimates: {measure: {mean, scale}}, shares, cells, keypoints, features}.
 */
export async function observe(session, truth, clip, visit) {
  const {tabular, labels, sexes} = truth.measures;
  const values = tabular.map((name) => name === "sex" ? sexes[visit.sex] : visit[name] ?? undefined);
  const found = await session.run({
    frames: new ort.Tensor("uint8", clip.frames, [1, clip.count, clip.size, clip.size, 3]),
    tabular: new ort.Tensor("float32", Float32Array.from(values, (each) => each ?? 0),
      [1, tabular.length]),
    tabular_mask: new ort.Tensor("float32",
      Float32Array.from(values, (each) => Number(each !== undefined)), [1, tabular.length]),
    reference_cm: new ort.Tensor("float32", Float32Array.of(toldCm(truth, visit)), [1]),
  });
  const {mean: {data: mean}, scale: {data: scale}, shares, keypoints, features} = found;
  return {
    estimates: Object.fromEntries(labels.map((name, i) => [name, {mean: mean[i], scale: scale[i]}])),
    shares: shares?.data, cells: shares?.dims[2], keypoints: keypoints?.data,
    features: features?.data,
  };
}

/** {"session.a": "1"} as {session: {a: "1"}}, which is how this runtime takes options. */
function nested(options) {
  const found = {};
  for (const [name, value] of Object.entries(options ?? {})) {
    const [first, ...rest] = name.split(".");
    found[first] = {...found[first], [rest.join(".")]: value};
  }
  return found;
}

/** SHA-256 in hexadecimal digits. */
export async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
