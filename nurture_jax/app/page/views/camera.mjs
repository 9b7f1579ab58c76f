// Records a video with the camera of the phone, with a frame for the baby and one for the ruler.

import {el, svg} from "../dom.mjs";
import {Problem} from "../problem.mjs";

const LONGEST_S = 12;
const FORMATS = ["video/mp4;codecs=avc1", "video/mp4", "video/webm;codecs=vp8", "video/webm"];
const ENDINGS = {"video/mp4": "mp4", "video/webm": "webm"};

/** A file that was recorded in the place of `host`'s content, or null where it was given up. */
export async function recordVideo({say}, host, signal) {
  const mimeType = self.MediaRecorder && FORMATS.find((each) => MediaRecorder.isTypeSupported(each));
  if (!mimeType) throw new Problem("no_camera");
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({audio: false,
      video: {facingMode: "environment", width: {ideal: 1280}, height: {ideal: 720}}});
  } catch {
    throw new Problem("no_camera");
  }
  const before = [...host.childNodes];
  try {
    return signal.aborted ? null : await recorded(say, host, stream, mimeType, signal);
  } finally {
    for (const track of stream.getTracks()) track.stop();
    host.replaceChildren(...before);
  }
}

/** Shows what the camera sees, and records from one touch to the next. */
function recorded(say, host, stream, mimeType, signal) {
  const live = el("video", {playsinline: true, autoplay: true});
  Object.assign(live, {muted: true, srcObject: stream}); // `muted` is no attribute of a made element
  const left = el("p", {role: "status"});
  const button = (name, kind, act) => el("button", {type: "button", class: kind, id: name,
    onclick: act}, say(name));
  return new Promise((resolve, reject) => {
    const recorder = new MediaRecorder(stream, {mimeType, videoBitsPerSecond: 8e6});
    let clock;
    const done = (result) => {
      clearInterval(clock);
      resolve(result);
    };
    const parts = [];
    recorder.ondataavailable = ({data}) => parts.push(data);
    recorder.onerror = () => reject(new Problem("no_camera"));
    recorder.onstop = () => {
      const [type] = recorder.mimeType.split(";");
      done(new File(parts, `recording.${ENDINGS[type]}`, {type}));
    };
    const finish = () => recorder.state === "recording" && recorder.stop();
    const start = button("start", "main", () => {
      recorder.start();
      const began = performance.now();
      const tick = () => {
        const rest = LONGEST_S - (performance.now() - began) / 1000;
        left.textContent = say("recording", {left: Math.max(Math.ceil(rest), 0)});
        if (rest <= 0) finish();
      };
      clock = setInterval(tick, 250);
      tick();
      const stop = button("stop", "main", finish);
      start.replaceWith(stop);
      stop.focus();
    });
    const cancel = button("cancel", "", () => done(null));
    signal.addEventListener("abort", () => done(null));
    host.replaceChildren(el("div", {class: "stage"}, live, overlay(say)), left,
      el("div", {class: "actions"}, start, cancel));
    host.scrollIntoView({block: "start"});
    start.focus({preventScroll: true});
  });
}

/** Where the baby and the ruler should be in the picture. */
function overlay(say) {
  return svg("svg", {viewBox: "0 0 75 100", "aria-hidden": "true"},
    svg("rect", {class: "frame", x: 15, y: 14, width: 36, height: 74, rx: 16}),
    svg("rect", {class: "frame", x: 56, y: 25, width: 6, height: 52}),
    svg("text", {x: 33, y: 11}, say("frame_baby")), svg("text", {x: 59, y: 22}, say("frame_ruler")));
}
