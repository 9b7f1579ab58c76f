"""A comparison that takes seconds, from a config as the launcher reads it."""
from configs import compare_cifar10


def tiny_comparison(arg="deps,bignas", **changes):
    config = compare_cifar10.get_config(f"digits,{arg}")
    with config.unlocked():
        base = config.base
        base.space.update(family="two_stages", width_mult=1.0, resolution=8, kernels=(3,))
        base.data.update(train_images=100, validation_images=40)
        base.training.batch_size = 20  # 5 steps an epoch
        base.evaluation.update(calibration_images=40, calibration_batch_size=20)
        base.cadence.update(log_every=7, checkpoint_every=10)
        config.seeds = (0,)
        config.budget_epochs = 20.0
        for name, value in changes.items():
            config.update_from_flattened_dict({name: value})
    return config.to_dict()
