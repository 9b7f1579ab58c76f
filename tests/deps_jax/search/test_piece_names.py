"""Names of pieces: short where they tell pieces apart, as in every table that exists."""
import pytest
from other_blocks import OWN

from deps_jax.search.piece_names import PieceNames
from deps_jax.space.cost import pieces
from deps_jax.space.families import SPACES
from deps_jax.space.layers import layers
from deps_jax.space.subnet_text import decode


def names(space, subnet, resolution=None):
    pixels = resolution or space.resolution
    name_of = PieceNames.of(space, pixels)
    return [name_of(piece) for _, piece in pieces(layers(space, decode(space, subnet), pixels))]


@pytest.mark.parametrize(("family", "some"), [
    ("mobilenet_v3", {"first_block 16to16 16wide k3 s1 add 112px",
                      "stage0 16to24 48wide k3 s2 112px", "stage1 40to40 120wide k3 s1 add 28px",
                      "head 160to1000 7px"}),
    ("resnet50d", {"stem 3to24 224px", "stage1 24to40 40k3s1 112px",
                   "stage2 168to168 32k1s1 32k3s1 168k1s1 168k1s1 56px",
                   "head 1328to1000 7px"})])
def test_published_families_keep_their_short_names(family, some):
    """Word for word what earlier versions wrote into tables."""
    space = SPACES[family].with_choices(kernels=(3, 5, 7))
    found = names(space, "smallest")
    assert some <= set(found)


@pytest.mark.parametrize("family", SPACES)
@pytest.mark.parametrize("width_mult", [0.25, 1.0])
def test_short_names_tell_all_pieces_of_published_families_apart(family, width_mult):
    space = SPACES[family].with_choices(kernels=(3, 5, 7), width_mult=width_mult)
    assert not PieceNames.of(space, space.resolution).ambiguous


def test_a_block_of_ones_own_is_named_by_every_layer():
    assert names(OWN, "k3e2")[1] == (
        "stage0 8to16 8wide k3 s1 6px: spatial 8to8 k3 s1 6px, expand 8to32 k1 s1 6px, "
        "gate 32to32 k1 s1 8hidden 6px, narrow 32to16 k1 s1 6px")
