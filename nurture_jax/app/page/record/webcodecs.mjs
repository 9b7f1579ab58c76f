// Frames by WebCodecs; the container is read by mediabunny.

import {ALL_FORMATS, BlobSource, EncodedPacketSink, Input, VideoSampleSink}
  from "../libraries/mediabunny.min.mjs";
import {Problem} from "../problem.mjs";

const ROUNDING_S = 1e-6;
const HD_PX = 720; // of the shorter side

/** Opens a file: {duration, width, height, at(times), close()}; see video.mjs. */
export async function decodedFrames(file) {
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
  await tagColours(track);
  const {starts, end} = await times(track);
  if (!starts.length) throw new Problem("no_frames");
  const first = starts[0];
  return {duration: end - first, width: track.displayWidth, height: track.displayHeight,
    at: (wanted) => draws(track, starts, wanted.map((time) => time + first)),
    close: () => input.dispose?.()};
}

/**
 * Untagged videos are of BT.601 below 720 pixels, as in a <video> and in records/colour.py, where a
 * decoder takes BT.709 for all. What the frames themselves say comes first.
 */
async function tagColours(track) {
  const config = await track.getDecoderConfig();
  if (config.colorSpace?.matrix || Math.min(track.displayWidth, track.displayHeight) >= HD_PX) return;
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

/** For each wanted time a function that draws the frame on show; null where it is the one before. */
async function* draws(track, starts, wanted) {
  const shown = wanted.map((time) => onShow(starts, time));
  const different = [...new Set(shown)];
  const samples = new VideoSampleSink(track)
    .samplesAtTimestamps(different.map((start) => start + ROUNDING_S));
  let last;
  for (const start of shown) {
    if (start === last) {
      yield null;
      continue;
    }
    const {value: sample} = await samples.next();
    if (!sample) throw new Problem("damaged", {seconds: start - starts[0]});
    yield (context) => sample.draw(context, 0, 0, context.canvas.width, context.canvas.height);
    sample.close();
    last = start;
  }
}

/** Start of the frame on show at a time. */
function onShow(starts, time) {
  const after = starts.findIndex((start) => start > time + ROUNDING_S);
  return after < 0 ? starts[starts.length - 1] : starts[Math.max(after - 1, 0)];
}
