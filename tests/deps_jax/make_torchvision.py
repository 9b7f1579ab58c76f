"""Makes tests/golden/torchvision.npz: what torchvision's policies and colour changes give.

    python tests/deps_jax/make_torchvision.py     (with torch 2.13, torchvision 0.28, Pillow 13)

Of a small picture, every operation of a policy at four levels and either sign, as uint8; the
tables of the policies as JSON; brightness, contrast, saturation and hue of float images.
"""
import json
from pathlib import Path

import numpy as np

from deps_jax.data.policies import OPERATIONS, POLICIES, SIGNED

FILE = Path(__file__).parent.parent / "golden" / "torchvision.npz"
NAMES = {"identity": "Identity", "shear_x": "ShearX", "shear_y": "ShearY",
         "translate_x": "TranslateX", "translate_y": "TranslateY", "rotate": "Rotate",
         "brightness": "Brightness", "colour": "Color", "contrast": "Contrast",
         "sharpness": "Sharpness", "posterize": "Posterize", "solarize": "Solarize",
         "auto_contrast": "AutoContrast", "equalize": "Equalize", "invert": "Invert"}
FACTORS = np.array([0.6, 1.0, 1.4], np.float32)  # of three images; of hue so much more than 1


def picture(height: int = 12, width: int = 16) -> np.ndarray:
    """A smooth picture in which every operation shows, and two values that thresholds meet."""
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([20 + 13 * columns, 240 - 17 * rows, 90 + 7 * rows + 5 * columns], -1)
    image[0, :2] = 170, 85, 34
    return image.astype(np.uint8)


def pictures() -> np.ndarray:
    """[3, 5, 4, 3] float images in [0, 1]."""
    return np.random.default_rng(0).uniform(0, 1, (3, 5, 4, 3)).astype(np.float32)


def cases(policy: str) -> list[tuple[str, int, int]]:
    """(operation, level, sign) of what is recorded."""
    ours, auto = POLICIES[policy], policy != "trivial"
    names = sorted({step.operation for chain in ours.chains for step in chain} if auto else
                   ours.operations)
    levels = range(0, ours.strengths.levels, (ours.strengths.levels - 1) // 3)
    return [(name, level, sign) for name in names for level in levels
            for sign in ((1, -1) if name in SIGNED else (1,))]


def main() -> None:
    """Writes the file."""
    import torch
    import torchvision.transforms.functional as functional
    from PIL import Image
    from torchvision import transforms

    record = {}
    for policy in POLICIES:
        if policy == "trivial":
            space, table = transforms.TrivialAugmentWide()._augmentation_space(31), None
        else:
            kind = getattr(transforms.AutoAugmentPolicy, policy.removeprefix("auto_").upper())
            theirs = transforms.AutoAugment(kind)
            space, table = theirs._augmentation_space(10, picture().shape[:2]), theirs.policies
        outputs = []
        for name, level, sign in cases(policy):
            magnitudes, signed = space[NAMES[name]]
            strength = float(magnitudes[level]) if magnitudes.ndim else 0.0
            outputs.append(np.asarray(transforms.autoaugment._apply_op(
                Image.fromarray(picture()), NAMES[name], strength * (sign if signed else 1),
                interpolation=transforms.InterpolationMode.BILINEAR, fill=None)))
        record[policy] = np.stack(outputs)
        record[f"{policy}/table"] = np.array(json.dumps({"space": sorted(space), "chains": table}))
    for name, change in (("brightness", functional.adjust_brightness),
                         ("contrast", functional.adjust_contrast),
                         ("saturation", functional.adjust_saturation),
                         ("hue", functional.adjust_hue)):
        factors = FACTORS - 1 if name == "hue" else FACTORS
        record[name] = np.stack([
            change(torch.from_numpy(image.transpose(2, 0, 1)), float(factor)).numpy().transpose(
                1, 2, 0) for image, factor in zip(pictures(), factors, strict=True)])
    np.savez_compressed(FILE, **record)
    assert set(NAMES) == set(OPERATIONS)


if __name__ == "__main__":
    main()
