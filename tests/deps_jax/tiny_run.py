"""A whole run of forty steps, from a config as launchers read it."""
from configs import deps_digits
from deps_jax.training.experiment import Experiment, train


def tiny_config(**changes):
    config = deps_digits.get_config()
    with config.unlocked():
        config.space.update(family="two_stages", width_mult=1.0, resolution=8, kernels=(3,))
        config.data.train_images = 100
        config.training.update(epochs=8.0, batch_size=20)  # 40 steps
        config.method.ramp_epochs = 1.0
        config.evaluation.update(subnets=("d1e1", "d2e2"), calibration_images=40,
                                 calibration_batch_size=20)
        config.cadence = {"log_every": 10, "checkpoint_every": 15, "evaluate_every": 20}
        for name, value in changes.items():
            config.update_from_flattened_dict({name: value})
    return config.to_dict()


def run(folder, **changes):
    config = tiny_config(**changes)
    return train(Experiment.from_dict(config), folder, config)
