// Computes beside the page, so that nothing on the screen ever stands still.

import {inspect} from "./clinic/gate.mjs";
import {scaleOf} from "./clinic/scale.mjs";
import {assessment, lostMeasures} from "./clinic/assessment.mjs";
import {observe, openModel} from "./model.mjs";
import {Problem} from "./problem.mjs";

let opened;

/** Opens the network once; asked again after a failure it tries again. */
function model({base, card}) {
  opened ??= openModel(base, card).catch((error) => {
    opened = undefined;
    throw error;
  });
  return opened;
}

const TASKS = {
  async open(asked) {
    await model(asked);
    return {};
  },

  /** The gate's findings and, where it accepts, the assessment and the estimates behind it. */
  async look(asked) {
    const {truth, card, clip, visit, earlier} = asked;
    const seen = await observe(await model(asked), truth, clip, visit);
    const lost = lostMeasures(truth, card.calibration.intervals, seen.estimates);
    if (lost.length) throw new Problem("no_number", {measures: lost});
    const gate = inspect(truth, clip, seen,
      {...card.calibration, scale: scaleOf(card)}, visit);
    const found = gate.failures.length ? null
      : assessment(truth, card.calibration.intervals, visit, seen.estimates, earlier);
    return {gate, found, estimates: seen.estimates};
  },
};

self.onmessage = async ({data: {number, task, asked}}) => {
  try {
    self.postMessage({number, result: await TASKS[task](asked)});
  } catch (error) {
    // What is no sentence of ours is told with the words of the browser.
    self.postMessage({number, problem: {code: error.code ?? "cannot_run",
      parts: error.parts ?? {why: String(error.message ?? error)}}});
  }
};
