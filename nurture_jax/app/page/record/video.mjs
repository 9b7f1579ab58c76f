// A clip of evenly spaced frames out of a video file: times as records/video.py has them.
// Frames come out of WebCodecs where the browser has it and can read the file, else a <video> is
// sought. Each is read in full size, made small by the mean over areas (pictures.mjs) and turned.

import {clipImage} from "../clinic/pictures.mjs";
import {Problem} from "../problem.mjs";
import {decodedFrames} from "./webcodecs.mjs";
import {soughtFrames} from "./seeking.mjs";

/** The middles of `count` equal parts of a duration in seconds. */
export function evenTimes(duration, count) {
  return Array.from({length: count}, (_, i) => (i + 0.5) * duration / count);
}

/**
 * The clip of a video file.
 *
 * settings: the card's {frames, size, fit, minimum_s}; told(share): is called with the part that is
 * done; way: "webcodecs" or "seeking" allows only one.
 * Gives {frames: bytes [t, size, size, 3], count, size, fit, duration, width, height, way}.
 */
export async function sampleClip(truth, file, settings, told = () => {}, way = "") {
  if (!file.size) throw new Problem("empty_file");
  if (file.type.startsWith("image/")) throw new Problem("picture");
  if (file.type.startsWith("audio/")) throw new Problem("no_picture");
  const ways = [["webcodecs", decodedFrames], ["seeking", soughtFrames]]
    .filter(([name]) => name === (way || name) && (name !== "webcodecs" || "VideoDecoder" in self));
  let problem;
  for (const [name, open] of ways) {
    try {
      return {...await clipBy(open, truth, file, settings, told), way: name};
    } catch (error) {
      if (error.name === "AbortError") throw error;
      if (error instanceof Problem && error.code !== "not_a_video") throw error;
      problem = error; // the other way may read it
    }
  }
  throw problem instanceof Problem ? problem : new Problem("not_a_video");
}

async function clipBy(open, truth, file, settings, told) {
  const {frames: count, size, fit} = settings;
  const video = await open(file, truth);
  try {
    check(truth, video, settings.minimum_s);
    const {duration} = video;
    const screen = new Screen(truth.video.same_shape);
    const frames = new Uint8Array(count * size * size * 3);
    let done = 0;
    for await (const read of video.at(evenTimes(duration, count), screen)) {
      const image = frames.subarray(done * size * size * 3, (done + 1) * size * size * 3);
      if (read) {
        const stored = await read();
        image.set(turned(clipImage(stored.data, stored.width, stored.height, size, fit), size,
          stored.rotation));
      } else { // the frame before is still on show
        image.set(frames.subarray((done - 1) * size * size * 3, done * size * size * 3));
      }
      told(++done / count);
    }
    return {frames, count, size, fit, duration, width: screen.width, height: screen.height};
  } finally {
    video.close();
  }
}

/** Room for one upright frame as the first is: bytes to copy it to, or a canvas to draw it on. */
class Screen {
  constructor(sameShape) {
    this.sameShape = sameShape;
  }

  /** Told the size of the first frame. */
  shape(width, height) {
    this.width = width;
    this.height = height;
  }

  /** A frame of another size is made as large as this; of another shape it would be stretched. */
  mustFit(otherWidth, otherHeight) {
    const {width, height} = this;
    if (Math.abs(otherWidth * height / (otherHeight * width) - 1) <= this.sameShape) return;
    throw new Problem("changing_shape", {width, height, otherWidth, otherHeight});
  }

  get bytes() {
    return this.copied ??= new Uint8Array(4 * this.width * this.height);
  }

  /** What `draw` draws, which is upright already. */
  drawn(draw) {
    const {width, height} = this;
    // Read back all the time: it stays in the memory of the processor.
    this.context ??= new OffscreenCanvas(width, height).getContext("2d", {willReadFrequently: true});
    draw(this.context);
    return {data: this.context.getImageData(0, 0, width, height).data, width, height, rotation: 0};
  }
}

/** A square picture [size, size, 3] turned clockwise by a multiple of 90 degrees. */
export function turned(image, size, rotation) {
  const last = size - 1;
  const from = {0: (x, y) => [x, y], 90: (x, y) => [y, last - x], 180: (x, y) => [last - x, last - y],
    270: (x, y) => [last - y, x]}[rotation];
  if (rotation === 0) return image;
  const out = new Uint8Array(image.length);
  for (let y = 0, to = 0; y < size; y++) {
    for (let x = 0; x < size; x++, to += 3) {
      const [column, row] = from(x, y);
      out.set(image.subarray((row * size + column) * 3, (row * size + column) * 3 + 3), to);
    }
  }
  return out;
}

function check(truth, {duration, width, height}, minimum) {
  const {longest_s: longest, largest_px: largest} = truth.video;
  if (Math.max(width, height) > largest) throw new Problem("too_large", {width, height, largest});
  if (duration < minimum) throw new Problem("video_too_short", {seconds: duration, least: minimum});
  if (duration > longest) throw new Problem("too_long", {seconds: duration, most: longest});
}
