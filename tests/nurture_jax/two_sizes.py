"""One scene with an infant of two sizes, with and without the ruler."""
from functools import partial

import numpy as np

from nurture_jax.synthetic.world.dress import DEVICES
from nurture_jax.synthetic.world.population import generator
from nurture_jax.synthetic.world.render import NOISE_ROOM, Frame, render
from nurture_jax.synthetic.world.scene import draw_scene

HEIGHT, WIDTH = 114, 64


def differences(lie, whole, smaller, index):
    """By how many grey levels the pictures of two shapes differ, without and beside a ruler.

    Args:
      lie: A function that lays a shape down in a pose.
      index: Which infant, phone and surroundings.
    """
    pictures = [[_picture(lie, shape, index, ruler) for shape in (whole, smaller)]
                for ruler in (False, True)]
    return [np.abs(one - other).max(-1) for one, other in pictures]


def _picture(lie, shape, index, ruler):
    rng = generator(0, index)
    scene = draw_scene(rng, partial(lie, shape), DEVICES[index], np.arange(3) / 3, HEIGHT, WIDTH,
                       ruler)
    noise = rng.standard_normal((HEIGHT + NOISE_ROOM, WIDTH + NOISE_ROOM, 3), np.float32)
    frame = Frame(*(value[1] for value in scene.frames))
    picture = render(frame, scene.look, partial(scene.surface.look_at, 1), noise,
                     height=HEIGHT, width=WIDTH)[0]
    return np.asarray(picture).astype(int)
