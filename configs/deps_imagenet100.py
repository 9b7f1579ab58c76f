"""DepS on ImageNet-100: MobileNetV3 at 224 px, K = 7, 180 epochs.

    python -m launch.train_supernet --config configs/deps_imagenet100.py --config.data.dir DIR \\
        --workdir runs/imagenet100

Takes the hundred classes out of ImageNet-1k, prepared by tensorflow-datasets or, with
`--config.data.name=folder`, as folders `train/n01558993/` and `val/n01558993/`. One option after a
colon: a method (docs/methods.md). Not run by us; it needs accelerators.

The paper does not say which hundred classes it takes; these are the ones of most papers that write
ImageNet-100, first those of Contrastive Multiview Coding (arXiv 1906.05849, imagenet100.txt in the
repository HobbitLong/CMC): the 126,689 training and 5,000 held-out images of them.

Subnets end their ramp at 98 % of the base rate, and train at it from the next step on
(`method.ramp_target_epochs`, docs/method.md).
"""
from ml_collections import ConfigDict

from configs import deps_imagenet, parts

CLASSES = tuple("""
n01558993 n01692333 n01729322 n01735189 n01749939 n01773797 n01820546 n01855672 n01978455 n01980166
n01983481 n02009229 n02018207 n02085620 n02086240 n02086910 n02087046 n02089867 n02089973 n02090622
n02091831 n02093428 n02099849 n02100583 n02104029 n02105505 n02106550 n02107142 n02108089 n02109047
n02113799 n02113978 n02114855 n02116738 n02119022 n02123045 n02138441 n02172182 n02231487 n02259212
n02326432 n02396427 n02483362 n02488291 n02701002 n02788148 n02804414 n02859443 n02869837 n02877765
n02974003 n03017168 n03032252 n03062245 n03085013 n03259280 n03379051 n03424325 n03492542 n03494278
n03530642 n03584829 n03594734 n03637318 n03642806 n03764736 n03775546 n03777754 n03785016 n03787032
n03794056 n03837869 n03891251 n03903868 n03930630 n03947888 n04026417 n04067472 n04099969 n04111531
n04127249 n04136333 n04229816 n04238763 n04336792 n04418357 n04429376 n04435653 n04485082 n04493381
n04517823 n04589890 n04592741 n07714571 n07715103 n07753275 n07831146 n07836838 n13037406 n13040303
""".split())  # noqa: SIM905 (a list of them would be a hundred lines)


def get_config(arg: str = "") -> ConfigDict:
    """`arg`: a method, see above."""
    _, method = parts.options_and_method(arg)
    config = deps_imagenet.get_config(arg)
    config.data.update(classes=CLASSES, validation_images=2500)  # the images are ours
    if method.startswith("deps"):  # full rate from epoch 100, one of the reference's eight
        config.method.update(full_model_fraction=100 / 180, ramp_epochs=5.0)
    # 0.143 for each GPU; four of them with 128 images each are ours, as on ImageNet-1k.
    config.optimizer.learning_rate = 0.572
    config.training.update(epochs=180.0, batch_size=512)
    config.cadence = {"log_every": 100, "checkpoint_every": 1000, "evaluate_every": 2420}
    return config
