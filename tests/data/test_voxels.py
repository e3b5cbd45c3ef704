"""Landscapes of blocks: what a ray must hit by geometry, partners, equal bytes, and the measure of edges."""

import importlib

import numpy as np
import pytest

from minigan import data
from minigan.errors import OptionError, ShapeError

room = importlib.import_module("minigan.data.voxels")  # data.voxels is the function


def flat_land(height=5.2, eye=8.0, view=0.3):
    """A plain of grass, the same everywhere, looked at from `eye`."""
    grounds = np.full((room.CELLS, room.CELLS), 2)
    heights, sky = np.full((room.CELLS + 1, room.CELLS + 1), height), np.array([[0.2, 0.2, 0.9], [0.7, 0.8, 0.9]])
    return room.Landscape(heights, grounds, np.ones(grounds.shape), sky, np.array([48.3, eye, 48.6]),
                          np.array([view, 1.0]))


@pytest.mark.parametrize("kind, ground", [("blocks", 6.0), ("smooth", 5.2)])
def test_a_plain_is_hit_where_geometry_says(kind, ground):
    land, up = flat_land(), np.array([0.4, 0.0, -0.15, -0.5])
    across = np.array([-0.5, 0.0, 0.3])
    flat = np.stack([np.cos(0.3) - np.sin(0.3) * across, np.sin(0.3) + np.cos(0.3) * across])
    distance, _ = getattr(room, f"_{kind}")(land, room._paths(land, flat), flat, up)
    expected = (ground - land.eye[1]) / np.array([-0.15, -0.5])
    assert np.isinf(distance[:2]).all()
    np.testing.assert_allclose(distance[2:], expected[:, None].repeat(3, 1), rtol=1e-9)


def test_a_tower_is_hit_at_its_wall_and_only_below_its_top():
    land = flat_land(view=0.0)
    land.heights[52, 48] = 11.5  # the cell (52, 48), of blocks up to 12, three borders and 0.7 cells away
    flat, up = np.array([[1.0], [0.0]]), np.array([1.2, 0.5, 0.1, -0.3])
    distance, colours = room._blocks(land, room._paths(land, flat), flat, up)
    assert np.isinf(distance[0]).all()  # above the tower
    np.testing.assert_allclose(distance[1:, 0], 52 - 48.3)
    light = 0.62 + 0.14 * np.cos(1.0)
    assert any(np.allclose(colours[2, 0], room.WALLS[2] * light * edge) for edge in (1, 0.72))


def test_equal_bytes_other_splits_and_partners():
    first, again = (data.voxels("blocks", 3, 16, seed=5) for _ in range(2))
    assert first.images.tobytes() == again.images.tobytes()
    more = data.voxels("blocks", 5, 16, seed=5)
    np.testing.assert_array_equal(first.images, more.images[:3])
    assert not (data.voxels("blocks", 3, 16, "test", 5).images == first.images).all()
    partner = first.partner()
    assert (partner.kind, len(partner)) == ("smooth", 3)
    np.testing.assert_array_equal(partner.partner().images, first.images)
    sky = slice(0, 2)  # both kinds have the same sky above the hills
    assert np.mean(first.images[:, :, sky] == partner.images[:, :, sky]) > 0.5
    np.testing.assert_array_equal(more.spread(2).partner().images, more.partner().images[[0, 2]])


def test_blocks_have_more_edges(rng):
    few = data.voxels("blocks", 6, 32)
    assert data.block_edges(few.images) > 3 * data.block_edges(few.partner().images)
    x = rng.uniform(-1, 1, (1, 3, 5, 6))
    luma = 0.299 * x[0, 0] + 0.587 * x[0, 1] + 0.114 * x[0, 2]
    detail = np.array([[luma[i, j] - luma[i - 1 : i + 2, j - 1 : j + 2].mean() for j in range(1, 5)]
                       for i in range(1, 4)])
    expected = ((detail[1:] - detail[:-1]) ** 2).mean() / 2 + ((detail[:, 1:] - detail[:, :-1]) ** 2).mean() / 2
    np.testing.assert_allclose(data.block_edges(x), expected)


@pytest.mark.parametrize("arguments", [{"kind": "cubes"}, {"split": "all"}, {"count": 0}, {"size": 8}, {"size": 300}])
def test_options_are_checked(arguments):
    with pytest.raises(OptionError, match="voxels: "):
        data.voxels(**arguments)


def test_edges_need_pictures():
    with pytest.raises(ShapeError, match="block_edges"):
        data.block_edges(np.zeros((2, 1, 8, 8)))
