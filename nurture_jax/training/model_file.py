"""What a network needs beside config and weights: constants and backbone, in `model.json`."""
from __future__ import annotations

from pathlib import Path

import flax.linen as nn

from deps_jax.common.files import workdir
from nurture_jax.network.backbone_weights import Start
from nurture_jax.network.backbones import describe, from_description
from nurture_jax.network.scaling import Scaling

MODEL = "model.json"


def describe_model(scaling: Scaling, backbone: nn.Module) -> dict:
    """What a network needs beside config and weights, as `read_model` takes it."""
    return {"standard": scaling.plain(), "backbone": describe(backbone)}


def read_model(folder: Path, start: Start | None = None, name: str = MODEL
               ) -> tuple[Scaling, nn.Module]:
    """Constants and backbone that the weights of a run belong to.

    Args:
      start: What the config says now, which must be the same network; None compares nothing.
      name: Name of the file in the folder of the run.

    Raises:
      ValueError: If they are missing or damaged, or the network is another one.
    """
    content = workdir.read(folder, name)
    if content is None:
        raise ValueError(f"{folder} has no {name}; give the --workdir of launch.train_nurture")
    try:
        scaling = Scaling.from_dict(content.get("standard"))
        backbone = from_description(content.get("backbone"))
    except ValueError as error:
        raise ValueError(f"{Path(folder) / name} is damaged or of another version of this program "
                         f"({error}); put it back from a copy, or use that one") from error
    if start and start.module != backbone:
        raise ValueError(f"the backbone of {folder} is another network than the config gives now; "
                         f"if its own run has changed, train in another --workdir")
    return scaling, backbone
