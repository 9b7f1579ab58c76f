"""What launchers of the newborn half are given: a config that compiles in seconds, an infant."""
from launch_here import ROOT

CONFIG = (f"--config={ROOT}/configs/nurture.py:runlocal", "--config.model.use_video=false",
          "--config.data.validation_fraction=0.1", "--config.data.calibration_fraction=0.4",
          "--config.data.test_fraction=0.2",
          "--config.gate.least_sharpness=0.0", "--config.gate.least_duration_s=0.5")
KNOWN = ("--age_days=7", "--birth_weight_g=2850", "--sex=F")
