"""A chosen subnet trained on alone, as OFA's @25 and @75 networks were (Cai et al., 2020)."""
from __future__ import annotations

import copy
from pathlib import Path

from deps_jax.common.files import workdir
from deps_jax.runs.trained import read_space
from deps_jax.space.candidate import parse_candidate
from deps_jax.space.subnet_text import encode
from deps_jax.training.experiment import Experiment

# Of the supernet's peak rate: better than a quarter of it (docs/results.md); OFA published none.
RATE = 0.4


def finetune_config(folder: Path, name: str, *, epochs: float, rate: float = RATE,
                    data_dir: str | None = None) -> dict:
    """The config of plain training of one subnet that starts from the run in `folder`.

    Data, augmentation, regularisation, batch size and optimizer stay those of the run. Images of
    one size are resized to another resolution as a search and an export measure them.

    Args:
      name: Name of the subnet, with "@" and a resolution if it is another than the space's.
      epochs: Passes over the training images.
      rate: Peak learning rate as a part of the run's.
      data_dir: Folder of the data, where it has moved; None takes the config's.

    Raises:
      ValueError: If there is no run, it is itself a fine-tuning, the subnet is not of its space,
        or a number is not above 0.
    """
    if not (epochs > 0 and rate > 0):
        raise ValueError(f"epochs {epochs:g} and rate {rate:g} must be above 0; use 25 and {RATE}")
    space = read_space(folder, data_dir)
    subnet, resolution = parse_candidate(space, name)
    config = copy.deepcopy(workdir.load(folder))
    if config.get("subnet"):
        raise ValueError(f"the run in {folder} is itself the fine-tuning of {config['subnet']}; "
                         f"give the run that it started from")
    text = encode(space, subnet)
    config |= {"init_from": str(folder), "subnet": text, "method": {"name": "plain"}}
    config["space"]["resolution"] = resolution
    if resolution != space.resolution and not config["data"].get("resize"):
        config["data"]["resolution"] = config["data"].get("resolution") or space.resolution
    config["training"] |= {"epochs": epochs, "resolutions": []}
    config["evaluation"] = {**config.get("evaluation", {}), "subnets": [text]}
    config.setdefault("cadence", {})["evaluate_every"] = 0
    # What the config leaves to defaults is scaled, too.
    optimizer = workdir.understood(folder, Experiment.from_dict).optimizer
    config["optimizer"] = {
        **config.get("optimizer", {}), "learning_rate": rate * optimizer.learning_rate,
        "min_learning_rate": rate * optimizer.min_learning_rate, "warmup_epochs": 0.0}
    if data_dir is not None:
        config["data"]["dir"] = data_dir
    return config
