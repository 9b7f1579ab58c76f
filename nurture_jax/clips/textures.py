"""Pictures of nothing in particular, drawn at random: what a camera may see where no newborn is.

Photographs of everything cannot be shipped. Occluding shapes of all sizes with textures of a
natural spectrum ("dead leaves") have much of their statistics, and networks that have learnt from
them know photographs (Baradad et al. 2021, arXiv 2106.05963). Kinds and numbers are ours.
"""
from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

Picture = np.ndarray  # [side, side, 3] uint8


def noise(rng: np.random.Generator, side: int) -> Picture:
    """A field with a spectrum of 1 / f^a in mixed colours: clouds, fur, gravel."""
    exponent = rng.uniform(0.4, 2.4)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None] * np.exp(rng.normal(0, 0.4)),
                         np.fft.rfftfreq(side)[None])
    frequency[0, 0] = 1
    spectrum = rng.standard_normal((3, *frequency.shape, 2)) @ np.array([1, 1j])
    fields = np.fft.irfft2(spectrum / frequency ** exponent, (side, side))
    fields = (fields / fields.std((1, 2), keepdims=True)).transpose(1, 2, 0)
    grey = rng.uniform(0, 1)  # how much the three colours go together
    mixed = fields @ (grey * np.full((3, 3), 3 ** -0.5) * (np.arange(3) == 0)[:, None]
                      + (1 - grey) * rng.normal(0, 1, (3, 3)) * 0.6)
    return _picture(mixed * rng.uniform(12, 60) + _colour(rng))


def leaves(rng: np.random.Generator, side: int) -> Picture:
    """Shapes of all sizes over each other, each with a texture of its own and a soft light."""
    textures = [noise(rng, side // 2).astype(np.float32) for _ in range(2)]
    picture = cv2.resize(textures[0], (side, side))
    smallest, largest = side * rng.uniform(0.02, 0.1), side * rng.uniform(0.2, 0.6)
    count = int(rng.integers(15, 60))
    # The far things first: the density of sizes falls with their square.
    sizes = 1 / rng.uniform(1 / largest, 1 / smallest, count)
    for size in np.concatenate([rng.uniform(0.3, 1, 6) * largest, sizes]):
        _paint(rng, picture, rng.uniform(0, side, 2), size, textures)
    return _lit(rng, picture)


def things(rng: np.random.Generator, side: int) -> Picture:
    """A few large things on a plain or a patterned ground: a body, or parts that hang together."""
    ground = patterns if rng.random() < 0.5 else noise
    picture = ground(rng, side).astype(np.float32)
    textures = [noise(rng, side // 2).astype(np.float32) for _ in range(2)]
    middle = rng.uniform(0.3, 0.7, 2) * side
    for _ in range(int(rng.integers(1, 14))):
        size = side * np.exp(rng.uniform(np.log(0.04), np.log(0.3)))
        _paint(rng, picture, middle, size, textures, soft=True)
        step = rng.normal(0, 1, 2)
        middle = np.clip(middle + size * step / np.linalg.norm(step) * rng.uniform(0.4, 1.2), 0,
                         side)
    return _lit(rng, picture)


def patterns(rng: np.random.Generator, side: int) -> Picture:
    """Stripes, checks, dots and bars with marks on them: cloths, tiles, keyboards, rulers."""
    y, x = np.mgrid[:side, :side].astype(np.float32)
    layers = []
    for _ in range(int(rng.integers(1, 4))):
        angle = rng.uniform(0, np.pi)
        period = side * np.exp(rng.uniform(np.log(0.015), np.log(0.3)))
        u = (x * np.cos(angle) + y * np.sin(angle)) / period + rng.random()
        v = (y * np.cos(angle) - x * np.sin(angle)) / period * rng.uniform(0.5, 2) + rng.random()
        fill = rng.uniform(0.15, 0.6)
        stripe, across = (u % 1) < fill, (v % 1) < fill
        dot = np.hypot(u % 1 - 0.5, v % 1 - 0.5) < fill / 2
        layers.append([stripe, stripe ^ across, stripe & across, dot][rng.integers(4)])
    picture = np.empty((side, side, 3), np.float32)
    picture[:] = _colour(rng)
    for layer in layers:
        share = rng.uniform(0, 0.8)
        picture[layer] = picture[layer] * share + (1 - share) * _colour(rng)
    for _ in range(int(rng.integers(0, 4))):
        _bar(rng, picture)
    return _lit(rng, picture)


KINDS: dict[str, Callable[[np.random.Generator, int], Picture]] = {
    "noise": noise, "leaves": leaves, "things": things, "patterns": patterns}


def _colour(rng: np.random.Generator) -> np.ndarray:
    """Any colour, more often a dull one, [3] 0..255."""
    grey = rng.uniform(20, 240)
    return np.clip(grey + rng.normal(0, rng.choice([8.0, 45.0])) * rng.normal(0, 1, 3), 0, 255)


def _paint(rng: np.random.Generator, picture: np.ndarray, middle: np.ndarray, size: float,
           textures: list[np.ndarray], *, soft: bool = False) -> None:
    """Paints one shape of about `size` pixels into the picture, in place."""
    side = len(picture)
    mask = np.zeros((side, side), np.uint8)
    angle, thin = rng.uniform(0, 360), np.exp(rng.uniform(np.log(0.2), 0))
    if rng.random() < 0.6:
        radii = (max(int(size), 1), max(int(size * thin), 1))
        cv2.ellipse(mask, middle.astype(int).tolist(), radii, angle, 0, 360, 255, -1, cv2.LINE_AA)
    else:
        count = int(rng.integers(3, 8))
        around = np.sort(rng.uniform(0, 2 * np.pi, count))
        reach = size * rng.uniform(0.5, 1.2, (count, 1))
        points = middle + reach * np.column_stack([np.cos(around), thin * np.sin(around)])
        cv2.fillPoly(mask, [points.astype(np.int32)], 255, cv2.LINE_AA)
    x, y, wide, tall = cv2.boundingRect(mask)
    if not wide or not tall:
        return
    inside = mask[y:y + tall, x:x + wide, None].astype(np.float32) / 255
    texture = textures[rng.integers(len(textures))]
    rows, columns = (np.arange(length)[:, None] + int(rng.integers(len(texture)))
                     for length in (tall, wide))
    paint = texture[rows % len(texture), columns.T % len(texture)]
    paint = _colour(rng) + rng.uniform(0, 0.8) * (paint - paint.mean((0, 1)))
    if soft or rng.random() < 0.5:  # rounder towards the edge
        depth = cv2.distanceTransform(mask[y:y + tall, x:x + wide], cv2.DIST_L2, 3)[..., None]
        paint = paint * (0.55 + 0.45 * np.sqrt(np.clip(depth / max(depth.max(), 1), 0, 1)))
    part = picture[y:y + tall, x:x + wide]
    part += inside * (paint - part)


def _bar(rng: np.random.Generator, picture: np.ndarray) -> None:
    """Paints a long bar, often with marks across, into the picture, in place."""
    side = len(picture)
    middle, angle = rng.uniform(0, side, 2), rng.uniform(0, np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    length, width = side * rng.uniform(0.15, 0.6), side * rng.uniform(0.01, 0.06)
    corner = lambda u, v: middle + u * length * along + v * width * across
    points = np.array([corner(-1, -1), corner(1, -1), corner(1, 1), corner(-1, 1)])
    cv2.fillPoly(picture, [points.astype(np.int32)], _colour(rng).tolist(), cv2.LINE_AA)
    if rng.random() < 0.6:
        ink = _colour(rng).tolist()
        for place in np.linspace(-1, 1, int(rng.integers(8, 60))):
            ends = [corner(place, -1), corner(place, rng.choice([-0.6, 0.0, 1.0]))]
            cv2.line(picture, *(end.astype(int).tolist() for end in ends), ink, 1, cv2.LINE_AA)


def _lit(rng: np.random.Generator, picture: np.ndarray) -> Picture:
    """Under a light that falls off to one side, slightly out of focus, with grain."""
    side = len(picture)
    slope = np.linspace(-1, 1, side)[:, None]
    light = 1 + rng.normal(0, 0.12) * slope + rng.normal(0, 0.12) * slope.T
    picture = picture * light[..., None].astype(np.float32) * rng.uniform(0.6, 1.2)
    picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.3))
    return _picture(picture + rng.normal(0, rng.uniform(0, 6), picture.shape))


def _picture(values: np.ndarray) -> Picture:
    return np.clip(values, 0, 255).astype(np.uint8)
