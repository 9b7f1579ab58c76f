"""Whole runs from the real config, shrunk."""
from configs import nurture
from nurture_jax.training.experiment import Experiment, train

# Compiles in a second. Eight visits with holes in the table would fit worse every time.
NUMBERS = {"model.use_video": False, "augment.forget": 0.0, "augment.forget_all": 0.0}


def config_of(data, **changes):
    config = nurture.get_config("runlocal")
    changes = {"data.dir": str(data), "training.epochs": 4.0, "data.validation_fraction": 0.25,
               "data.calibration_fraction": 0.0, "data.test_fraction": 0.125,
               "cadence.evaluate_every": 5, "cadence.checkpoint_every": 6, "negatives.share": 0.0,
               **changes}
    config.update_from_flattened_dict(changes)
    return config.to_dict()


def run(folder, data, **changes):
    config = config_of(data, **changes)
    return train(Experiment.from_dict(config), folder, config)
