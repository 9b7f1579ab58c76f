"""Times the way from a video of ten seconds in full HD to an estimate, a training step, and files.

    python -m launch.bench_nurture --config configs/nurture.py:real
    taskset -c 0 python -m launch.bench_nurture --config configs/nurture.py:real \\
        --config.backbone.kind=deps --parts files                       # a student on one core
"""
import tempfile
from pathlib import Path

import jax
from absl import flags
from ml_collections import config_flags

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs

with needs("nurture"):
    from nurture_jax.runs.bench import time_reading, time_training, time_video

PARTS = ("video", "step", "files")
CONFIG = config_flags.DEFINE_config_file("config", "configs/nurture.py:real", "size of the network")
BATCH = flags.DEFINE_integer("batch_size", 2, "clips of the timed training step; two of the config "
                             "real take 7 GB of memory", lower_bound=1)
TIMED = flags.DEFINE_multi_enum("parts", list(PARTS), PARTS, "what is timed: a video to its "
                                "estimate and reading; a training step; the network as ONNX files")
THREADS = flags.DEFINE_integer("threads", 1, "threads of onnxruntime", lower_bound=1)


def main(_):
    config = CONFIG.value.to_dict()
    if "files" in TIMED.value:
        with needs("export"):
            from nurture_jax.deploy.file_bench import time_files
    data = config["data"]
    print(f"{data['frames']} frames of {data['size']} px, random weights:")
    with tempfile.TemporaryDirectory() as folder:
        if "video" in TIMED.value:
            seconds = time_video(Path(folder), config)
            print(f"  decoding             {seconds['decode_s']:6.2f} s, of 10 s of 1080p\n"
                  f"  file to estimate     {seconds['predict_s']:6.2f} s, after a start of "
                  f"{seconds['start_s']:.1f} s\n"
                  f"  reading the cache    {time_reading(Path(folder), config):6.1f} clips/s")
        if "step" in TIMED.value:
            print(f"  training step        {time_training(config, BATCH.value):6.2f} clips/s, "
                  f"{BATCH.value} clips a step, "
                  f"{jax.device_count()} {jax.devices()[0].device_kind} device(s)")
        if "files" in TIMED.value:
            for file in time_files(config, Path(folder), THREADS.value):
                print(f"  {file.precision} file, one clip  {file.clip_ms:6.1f} ms without "
                      f"decoding, {file.size_bytes / 1e6:.2f} MB, {THREADS.value} thread(s)")


if __name__ == "__main__":
    run(main)
