"""Times the way from a video of ten seconds in full HD to an estimate, and a training step.

    python -m launch.bench_nurture --config configs/nurture.py:real
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

CONFIG = config_flags.DEFINE_config_file("config", "configs/nurture.py:real", "size of the network")
BATCH = flags.DEFINE_integer("batch_size", 2, "clips of the timed training step; two of the config "
                             "real take 7 GB of memory", lower_bound=1)


def main(_):
    config = CONFIG.value.to_dict()
    with tempfile.TemporaryDirectory() as folder:
        seconds = time_video(Path(folder), config)
        clips = time_reading(Path(folder), config)
    trained = time_training(config, BATCH.value)
    data = config["data"]
    print(f"10 s of 1080p, {data['frames']} frames of {data['size']} px, random weights:\n"
          f"  decoding             {seconds['decode_s']:6.2f} s\n"
          f"  file to estimate     {seconds['predict_s']:6.2f} s, after a start of "
          f"{seconds['start_s']:.1f} s\n"
          f"  reading the cache    {clips:6.1f} clips/s\n"
          f"  training step        {trained:6.2f} clips/s, {BATCH.value} clips a step, "
          f"{jax.device_count()} {jax.devices()[0].device_kind} device(s)")


if __name__ == "__main__":
    run(main)
