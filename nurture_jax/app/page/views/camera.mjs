// Records a video with the camera of the phone, with a frame for the baby and one for the ruler.

import {el, svg} from "../dom.mjs";
import {Problem} from "../problem.mjs";

const LONGEST_S = 12;
const FORMATS = ["video/mp4;codecs=avc1", "video/mp4", "video/webm;codecs=vp8", "video/webm"];

/** A file that was recorded in the place of `host`'s content, or null where it was cancelled. */
export async function recordVideo({say}, host) {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({audio: false,
      video: {facingMode: "environment", width: {ideal: 1280}, height: {ideal: 720}}});
  } catch {
    throw new Problem("no_camera");
  }
  const before = [...host.childNodes];
  const live = el("video", {muted: true, playsinline: true, autoplay: true});
  live.srcObject = stream;
  const left = el("p", {role: "status"});
  const button = (name, kind, act) => el("button", {type: "button", class: kind, onclick: act},
    say(name));
  try {
    return await new Promise((resolve, reject) => {
      let recorder;
      const stop = button("stop", "main", () => recorder.stop());
      const start = button("start", "main", () => {
        const mimeType = FORMATS.find((each) => MediaRecorder.isTypeSupported(each));
        recorder = new MediaRecorder(stream, {mimeType, videoBitsPerSecond: 8e6});
        const parts = [];
        const began = performance.now();
        const clock = setInterval(() => {
          const rest = LONGEST_S - (performance.now() - began) / 1000;
          left.textContent = say("recording", {left: Math.max(Math.ceil(rest), 0)});
          if (rest <= 0 && recorder.state === "recording") recorder.stop();
        }, 250);
        recorder.ondataavailable = ({data}) => parts.push(data);
        recorder.onerror = () => reject(new Problem("no_camera"));
        recorder.onstop = () => {
          clearInterval(clock);
          resolve(new File(parts, "recording", {type: recorder.mimeType.split(";")[0]}));
        };
        recorder.start();
        start.replaceWith(stop);
      });
      const cancel = button("cancel", "", () => {
        if (recorder) recorder.onstop = null;
        resolve(null);
      });
      host.replaceChildren(el("div", {class: "stage"}, live, overlay(say)), left,
        el("div", {class: "actions"}, start, cancel));
    });
  } finally {
    for (const track of stream.getTracks()) track.stop();
    host.replaceChildren(...before);
  }
}

/** Where the baby and the ruler should be in the picture. */
function overlay(say) {
  return svg("svg", {viewBox: "0 0 75 100", "aria-hidden": "true"},
    svg("rect", {class: "frame", x: 15, y: 14, width: 36, height: 74, rx: 16}),
    svg("rect", {class: "frame", x: 56, y: 25, width: 6, height: 52}),
    svg("text", {x: 33, y: 11}, say("frame_baby")), svg("text", {x: 59, y: 22}, say("frame_ruler")));
}
