"""Sections of a config with the values that most experiments share."""
from ml_collections import ConfigDict, config_dict

from deps_jax.data.augment import IMAGENET_MEAN, IMAGENET_STD
from deps_jax.space.search_space import AXES
from deps_jax.training import METHODS


def options(arg: str, allowed: tuple[str, ...] = ()) -> set[str]:
    """Words after the colon of `--config file.py:word,word`; ValueError for one not allowed."""
    words = {word for word in (arg or "").split(",") if word}
    for word in sorted(words - set(allowed)):
        raise ValueError(f"the config takes no option {word!r}; "
                         + (f"it takes {', '.join(allowed)}" if allowed else "it takes none"))
    return words


def options_and_method(arg: str, allowed: tuple[str, ...] = ()) -> tuple[set[str], str]:
    """As `options`, and the method that is one of the words: "deps" where none is.

    A method is a name of deps_jax.training.METHODS, or "module:NAME" of one of the user's own.
    """
    words = {word for word in (arg or "").split(",") if word}
    methods = {word for word in words if ":" in word or word in METHODS}
    if len(methods) > 1:
        raise ValueError(f"the config takes one method, not {' and '.join(sorted(methods))}; "
                         f"choose one")
    return (options(",".join(words - methods), (*allowed, *METHODS, "module:NAME")),
            next(iter(methods), "deps"))


def data(name: str, *, validation_images: int, resize: bool = False,
         placement: str = "resident") -> ConfigDict:
    """See deps_jax.data.load.Data."""
    return ConfigDict({
        "name": name,
        "dir": "",  # of class folders, or of tensorflow-datasets (default: TFDS_DATA_DIR)
        "validation_images": validation_images,  # cut from train; test is for the end only
        "train_images": 0,  # 0: all of the rest
        "seed": 0,
        "classes": (),  # names; empty: all
        "resize": resize,
        "least_area": 0.08,  # of random resized crops; OFA's and DepS's
        "policy": "",  # auto_imagenet, auto_cifar10, trivial or module:NAME
        "placement": placement,
        "workers": 0,
        "skip_unreadable": False,
    })


def augment(*, mean: tuple, std: tuple, **fields) -> ConfigDict:
    """See deps_jax.data.augment.Augment; what is not given is off."""
    return ConfigDict({
        "mean": mean,
        "std": std,
        "flip": False,
        "alternating": False,
        "crop_padding": 0,
        "cutout_size": 0,
        "colour": (0.0, 0.0, 0.0, 0.0),  # brightness, contrast, saturation, hue
        "erase_probability": 0.0,
        "mixup": 0.0,
        "cutmix": 0.0,
        **fields,
    })


def space(family: str, *, width_mult: float = 1.0, resolution: int | None = None,
          depths: tuple | None = None, kernels: tuple | None = None, expands: tuple | None = None,
          widths: tuple | None = None) -> ConfigDict:
    """What is None is the family's own: D, E of OFA and K = 7 only, as in every DepS experiment."""
    def given(value, kind):
        return config_dict.placeholder(kind) if value is None else value

    return ConfigDict({
        "family": family,
        "depths": given(depths, tuple),
        "kernels": given(kernels, tuple),
        "expands": given(expands, tuple),
        "widths": given(widths, tuple),  # of a ResNet, OFA's
        "width_mult": width_mult,
        "resolution": given(resolution, int),
        "kernel_transform": False,  # off in DepS, on in OFA
    })


def method(name: str, **fields) -> ConfigDict:
    """A value of deps_jax.training.methods; what stays None is taken from there."""
    kinds = {"full_model_fraction": float, "ramp_epochs": float, "ramp_target_epochs": float,
             "subnets_per_step": int, "sampling": str, "loss": str, "temperature": float,
             "weight": str, "aggregation": str, "sort_channels": bool, "smallest_weight": float,
             "sampled_weight": float, "warm_up": tuple, "full_model_share": float, "teacher": str,
             "teacher_epochs": float}
    config = ConfigDict({"name": name})
    for field, kind in kinds.items():
        config[field] = config_dict.placeholder(kind)
    config.update(fields)
    return config


def optimizer(*, learning_rate: float, **fields) -> ConfigDict:
    """SGD with Nesterov momentum and cosine, as in DepS (docs/reference.md)."""
    return ConfigDict({
        "name": "sgd",
        "learning_rate": learning_rate,  # for the global batch
        "matrix_rate": 0.2,  # of muon
        "schedule": "cosine",  # or linear, or exponential
        "min_learning_rate": 2.5e-3,
        "decay": 0.97,  # of exponential, with the next: BigNAS
        "decay_epochs": 2.4,
        "warmup_epochs": 0.0,
        "warmup_learning_rate": 0.0,
        "momentum": 0.9,
        "weight_decay": 3e-5,
        "clip_norm": 0.0,  # 0: off
        "clip_value": 0.0,  # 0: off
        **fields,
    })


def training(*, epochs: float, batch_size: int, dropout_rate: float = 0.0) -> ConfigDict:
    """Label smoothing 0.1 in every DepS recipe."""
    return ConfigDict({
        "epochs": epochs,
        "batch_size": batch_size,
        "label_smoothing": 0.1,
        # Both: of a sandwich's first network, of networks alone, and of all of ofa's and compofa's.
        "dropout_rate": dropout_rate,
        "drop_connect_rate": 0.0,
        "norm_momentum": 0.1,
        "dtype": "float32",  # or bfloat16
        "zero_scales": False,
        "average_decay": 0.0,  # 0: no moving average
        "accumulation": 1,
        "resolutions": (),  # the space's alone
        "rate_tables": False,
        "batch_norm": "synchronised",  # or per_device
    })


def evaluation(*, batch_size: int, calibration_images: int = 2000,
               calibration_batch_size: int = 200) -> ConfigDict:
    """See deps_jax.evaluation.meter.Evaluation; the reference calibrates on 2000 images by 200."""
    return ConfigDict({
        "subnets": (),  # the smallest and the paper's six uniform ones
        "batch_size": batch_size,
        "calibration_images": calibration_images,
        "calibration_batch_size": calibration_batch_size,
        "calibration_seed": 0,
        "dtype": "float32",  # also of runs that train in bfloat16
    })


def clips(*, frames: int, size: int, test_fraction: float = 0.15) -> ConfigDict:
    """See nurture_jax.training.run_data.Data."""
    return ConfigDict({
        "dir": "",  # --data
        "cache": "",  # of decoded clips; empty: in the data set's folder
        "negatives": "",  # videos and photographs without a newborn, beside those of DIR/negatives
        "workers": 0,
        "read_workers": 0,  # threads of this process read 600 clips/s (docs/results.md)
        "frames": frames,
        "size": size,
        "fit": "crop",  # or letterbox, where a picture shows the newborn from edge to edge
        "minimum_s": 1.0,
        "validation_fraction": 0.1,  # chooses the weights
        "calibration_fraction": 0.15,  # of the intervals, and of nothing else
        "test_fraction": test_fraction,
        "split_seed": 0,
    })


def clip_augment() -> ConfigDict:
    """See nurture_jax.clips.clip_augment; strengths are ours, mean and std those of ImageNet."""
    return ConfigDict({
        "mean": IMAGENET_MEAN,
        "std": IMAGENET_STD,
        "flip": True,
        "zoom": (0.85, 1.08),  # more would often push an end of the ruler out of the picture
        "shift": 0.03,
        "brightness": 0.15,
        "contrast": 0.2,
        "colour": 0.1,
        "saturation": 0.0,
        "hue": 0.0,
        "frames": 0,  # all
        "annotated_first": 0.5,
        "forget": 0.15,  # of each input; every pattern of missing ones is trained
        "forget_all": 0.05,
    })


def backbone(*, kind: str, depth: int = 50) -> ConfigDict:
    """See nurture_jax.network.backbone_weights.Backbone."""
    return ConfigDict({
        "kind": kind,  # or deps
        "depth": depth,
        "width": 64,
        "stages": 4,
        "init_from": "",  # .npz of torchvision's ResNet
        "family": "mobilenet_v3",
        "width_mult": 1.0,
        **{axis: config_dict.placeholder(tuple) for axis in AXES},
        "subnet": "largest",
        "run": "",  # folder of a deps_jax run that gives weights and space
        "batch_stats": "",
    })


def teacher() -> ConfigDict:
    """See nurture_jax.training.distillation.Teaching; the weights are ours."""
    return ConfigDict({
        "run": "",  # folder of a run that is learnt from beside the records; empty: none
        "weight": 1.0,  # of its measures, masks and heatmaps
        "spreads": 0.1,
        "features": 0.1,
    })


def nurture_model() -> ConfigDict:
    """See nurture_jax.network.model.ModelSettings; the widths are ours."""
    return ConfigDict({
        "use_video": True,
        "use_tabular": True,
        "segmentation": True,
        "keypoints": True,
        "geometry": True,
        "thickness": True,
        "in_space": True,
        "focal": 2.7,
        "geometry_gradient": False,
        "pooling": "mask",
        "time_pooling": "attention",
        "predict_gain": True,
        "neck_width": 64,
        "neck_convs": "dense",  # or separable
        "head_stride": 4,
        "tabular_width": 32,
        "hidden_width": 128,
        "fusion_members": 4,
        "dropout_rate": 0.0,
        "dtype": "float32",
    })


def gate() -> ConfigDict:
    """See nurture_jax.clinic.checks.Limits; all are ours, set on synthetic recordings."""
    return ConfigDict({
        "least_duration_s": 1.5,
        "least_brightness": 40.0,
        "most_brightness": 225.0,
        "least_sharpness": 0.005,
        "least_newborn_share": 0.03,
        "least_reference_share": 0.003,
        "least_body_confidence": 0.4,
        "least_found_frames": 0.5,
        "least_on_mask": 0.7,
        "least_proportions": 0.7,
        "most_size_change": 0.25,
        "familiar_recordings": 0.98,  # of those that calibrate
        "rightly_told": 0.95,  # of those at least: lengths of reference objects
        "least_reference_frames": 0.5,
        "most_cut_frames": 0.5,
        "least_contact": 0.05,
        "least_end_confidence": 0.35,
        "least_on_reference": 0.7,
    })
