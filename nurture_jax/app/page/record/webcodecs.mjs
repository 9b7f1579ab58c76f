// Frames by WebCodecs; the container is read by mediabunny.

import {ALL_FORMATS, BlobSource, EncodedPacketSink, Input, VideoSampleSink}
  from "../libraries/mediabunny.min.mjs";
import {Problem} from "../problem.mjs";

const ROUNDING_S = 1e-6;
const RGBA = {format: "RGBA", colorSpace: "srgb"};
const SDR_PRIMARIES = ["bt709", "smpte170m", "bt470bg"];
const HDR_TRANSFERS = ["pq", "hlg"];

/** Opens a file: {duration, width, height, at(times, screen), close()}; see video.mjs. */
export async function decodedFrames(file, truth) {
  const input = new Input({source: new BlobSource(file), formats: ALL_FORMATS});
  let track;
  let sound;
  try {
    track = await input.getPrimaryVideoTrack();
    sound = !track && await input.getPrimaryAudioTrack();
  } catch {
    throw new Problem("not_a_video");
  }
  // A recording that was cut off has neither: its list of tracks stands at the end.
  if (!track) throw new Problem(sound ? "no_picture" : "not_a_video");
  if (!await track.canDecode()) throw new Problem("not_a_video"); // seeking may know its codec
  await tagColours(track, truth.video.hd_px);
  const {starts, end} = await times(track);
  if (!starts.length) throw new Problem("no_frames");
  const first = starts[0];
  return {duration: end - first, width: track.displayWidth, height: track.displayHeight,
    at: (wanted, screen) => reads(track, starts, wanted.map((time) => time + first), screen),
    close: () => input.dispose?.()};
}

/**
 * Untagged videos are of BT.601 where the shorter side is below `hd` pixels, as in a <video> and in
 * records/colour.py, where a decoder takes BT.709 for all. What the frames themselves say comes
 * first.
 */
async function tagColours(track, hd) {
  const config = await track.getDecoderConfig();
  if (config.colorSpace?.matrix || Math.min(track.displayWidth, track.displayHeight) >= hd) return;
  const colorSpace = {...config.colorSpace, matrix: "smpte170m", primaries: "bt709", transfer: "bt709"};
  track.getDecoderConfig = async () => ({...config, colorSpace});
}

/** When the frames on show start, and when the last one ends, in seconds of the container. */
async function times(track) {
  const starts = [];
  let end = 0;
  const sink = new EncodedPacketSink(track);
  for await (const packet of sink.packets(undefined, undefined, {metadataOnly: true})) {
    if (packet.timestamp < -ROUNDING_S) continue; // cut off by an edit list
    starts.push(packet.timestamp);
    end = Math.max(end, packet.timestamp + packet.duration);
  }
  return {starts: starts.sort((a, b) => a - b), end};
}

/** For each wanted time a function that reads the frame on show; null where it is the one before. */
async function* reads(track, starts, wanted, screen) {
  const shown = wanted.map((time) => onShow(starts, time));
  const different = [...new Set(shown)];
  const samples = new VideoSampleSink(track)
    .samplesAtTimestamps([starts[0], ...different].map((start) => start + ROUNDING_S));
  const next = async (start) => {
    const {value: sample} = await samples.next();
    if (!sample) throw new Problem("damaged", {seconds: start - starts[0]});
    return sample;
  };
  let last;
  try {
    // Frames may say more of the shape of their pixels than the container does.
    const opening = await next(starts[0]);
    screen.shape(opening.displayWidth, opening.displayHeight);
    opening.close();
    for (const start of shown) {
      if (start === last) {
        yield null;
        continue;
      }
      const sample = await next(start);
      try {
        yield () => read(sample, screen);
      } finally {
        sample.close();
      }
      last = start;
    }
  } finally {
    await samples.return(); // ends the decoder, and lets go of the frames that it has ready
  }
}

/** Pixels of a frame as they are stored, or drawn where that needs more than another matrix. */
async function read(sample, screen) {
  screen.mustFit(sample.displayWidth, sample.displayHeight);
  const {rotation, visibleRect: {width, height}} = sample;
  const [wide, tall] = rotation % 180 ? [height, width] : [width, height];
  const frame = sample.toVideoFrame();
  try {
    const {primaries, transfer} = frame.colorSpace;
    const plain = !sample.flip && SDR_PRIMARIES.includes(primaries) && !HDR_TRANSFERS.includes(transfer)
      && sample.squarePixelWidth === width && sample.squarePixelHeight === height
      && wide === screen.width && tall === screen.height;
    // A browser that does not know the format would copy the planes as they are.
    if (plain && frame.allocationSize(RGBA) === 4 * width * height) {
      // Chromium keeps a copy of each frame that is drawn, hundreds of megabytes in the end.
      await frame.copyTo(screen.bytes, RGBA);
      return {data: screen.bytes, width, height, rotation};
    }
  } catch (error) {
    if (!(error instanceof DOMException || error instanceof TypeError)) throw error;
  } finally {
    frame.close();
  }
  return screen.drawn((context) =>
    sample.draw(context, 0, 0, context.canvas.width, context.canvas.height));
}

/** Start of the frame on show at a time. */
function onShow(starts, time) {
  const after = starts.findIndex((start) => start > time + ROUNDING_S);
  return after < 0 ? starts[starts.length - 1] : starts[Math.max(after - 1, 0)];
}
