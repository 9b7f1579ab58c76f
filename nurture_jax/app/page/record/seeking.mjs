// Frames by seeking in a <video>, for browsers without WebCodecs and files that it cannot read.

import {Problem} from "../problem.mjs";

const NEW_FRAME_MS = 150;
const PATIENCE_MS = 20000; // of one seek; a phone may need seconds between key frames

/** Opens a file: {duration, width, height, at(times, screen), close()}; see video.mjs. */
export async function soughtFrames(file) {
  const video = document.createElement("video");
  const address = URL.createObjectURL(file);
  const close = () => {
    video.removeAttribute("src");
    video.load();
    URL.revokeObjectURL(address);
  };
  let size;
  try {
    Object.assign(video, {muted: true, playsInline: true, preload: "auto"});
    const ready = happens(video, "loadeddata", "not_a_video");
    video.src = address;
    await ready;
    if (!video.videoWidth) throw new Problem("no_picture");
    size = {width: video.videoWidth, height: video.videoHeight}; // of the first frame
    if (!Number.isFinite(video.duration)) {
      // A recording of a browser itself does not say how long it is until its end was sought.
      const known = happens(video, "durationchange", "not_a_video");
      video.currentTime = Number.MAX_SAFE_INTEGER;
      await known;
    }
  } catch (error) {
    close();
    throw error;
  }
  return {duration: video.duration, ...size, close,
    at: (wanted, screen) => reads(video, wanted, screen, size)};
}

async function* reads(video, wanted, screen, {width, height}) {
  screen.shape(width, height);
  for (const time of wanted) {
    const sought = happens(video, "seeked", "damaged", {seconds: time});
    const drawn = shows(video);
    video.currentTime = time;
    await sought;
    await drawn;
    yield () => {
      screen.mustFit(video.videoWidth, video.videoHeight);
      return screen.drawn((context) =>
        context.drawImage(video, 0, 0, context.canvas.width, context.canvas.height));
    };
  }
}

/** Until a new frame can be drawn, a little after `seeked`; soon in any case, it may be the same. */
function shows(video) {
  return new Promise((resolve) => {
    video.requestVideoFrameCallback?.(resolve);
    setTimeout(resolve, NEW_FRAME_MS);
  });
}

/** Waits for an event; an error of the video or none in time is a Problem. */
function happens(video, name, code, parts = {}) {
  return new Promise((resolve, reject) => {
    const ended = new AbortController();
    const options = {once: true, signal: ended.signal};
    const fail = () => {
      ended.abort();
      reject(new Problem(code, parts));
    };
    const timer = setTimeout(fail, PATIENCE_MS);
    ended.signal.addEventListener("abort", () => clearTimeout(timer));
    video.addEventListener("error", fail, options);
    video.addEventListener(name, () => {
      ended.abort();
      resolve();
    }, options);
  });
}
