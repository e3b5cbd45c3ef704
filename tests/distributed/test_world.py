"""Worlds: slices, sums and errors, without MPI; then what MPI's world promises."""

import numpy as np
import pytest

import minigan as mg
from minigan import data, distributed
from minigan.data import DiffAugment
from minigan.data.batches import as_batches
from minigan.engine.distributed.checks import check_same, compare_weights
from minigan.engine.distributed.world import ALONE, World, apart, flattened, in_order
from minigan.errors import DistributedError, OptionError
from minigan.random import Stream
from minigan.trainers import ImagePool


class Part(World):
    """One of several ranks that are not there: for slices, which need no other."""

    def __init__(self, rank, size):
        self.rank, self.size = rank, size


@pytest.fixture
def parts(monkeypatch):
    """parts(size, function): what the function returns on each rank, computed one after the other."""
    def of_all(size, function):
        results = []
        for rank in range(size):
            distributed.set_world(Part(rank, size))
            with distributed.together():
                results.append(function())
            distributed.set_world(ALONE)
        return results

    return of_all


def test_a_loader_gives_each_rank_its_rows_of_the_same_batches(parts):
    """Over the end of an epoch, with labels, and with a last batch that is smaller."""
    images, labels = np.random.default_rng(0).integers(0, 256, (22, 1, 4, 4), np.uint8), np.arange(22)

    def drawn():
        loader = data.Loader((images, labels), 8, seed=3, drop_last=False)
        return [next(loader) for _ in range(5)], loader.state_dict()

    whole, state = drawn()
    halves = parts(2, drawn)
    for number, batch in enumerate(whole):
        for place in range(2):
            joined = np.concatenate([half[number][place] for half, _ in halves])
            np.testing.assert_array_equal(joined, batch[place])
    assert all(other == state for _, other in halves)


@pytest.mark.parametrize("size", [2, 4])
def test_random_numbers_of_a_batch_are_rows_of_the_joint_ones(parts, size):
    joint = Stream(7, "noise").normal((8, 3))
    own = parts(size, lambda: Stream(7, "noise").normal((8 // size, 3), samples=0))
    np.testing.assert_array_equal(np.concatenate(own), joint)
    single = Stream(7, "noise").uniform((1, 8, 3), np.float64)  # an axis of samples that is not the first one
    own = parts(size, lambda: Stream(7, "noise").uniform((1, 8 // size, 3), np.float64, samples=1))
    np.testing.assert_array_equal(np.concatenate(own, 1), single)
    x = mg.tensor(np.zeros((8 // size, 1, 4, 4)))
    draws = parts(size, lambda: DiffAugment("cutout", Stream(1, "augment")).draw(x))
    np.testing.assert_array_equal(np.concatenate(draws, 1), DiffAugment("cutout", Stream(1, "augment")).draw(
        mg.tensor(np.zeros((8, 1, 4, 4)))))


def test_dropout_drops_what_it_drops_from_the_joint_batch(parts):
    x = np.ones((8, 5), np.float32)
    joint = mg.ops.dropout(mg.tensor(x), 0.5, stream=Stream(2, "dropout")).data
    own = parts(2, lambda: mg.ops.dropout(mg.tensor(x[:4]), 0.5, stream=Stream(2, "dropout")).data)
    np.testing.assert_array_equal(np.concatenate(own), joint)


def test_a_minibatch_of_several_batches_is_the_joint_one(parts):
    """Progressive joins batches; each rank has its rows of what one process joins, in its order."""
    networks = mg.models.progressive(1, 8, 4, 4)

    def drawn(batches):
        trainer = mg.trainers.Progressive(*networks, batch_size=4, minibatch={4: 8})
        return trainer.draw(batches())[0]

    def images():
        return data.Loader(np.random.default_rng(0).integers(0, 256, (22, 1, 8, 8), np.uint8), 4, seed=3)

    np.testing.assert_array_equal(np.concatenate(parts(2, lambda: drawn(images))), drawn(images))
    plain = parts(2, lambda: drawn(lambda: as_batches(iter(np.arange(2.0)[:, None]))))  # a plain iterator's
    assert all(part.ravel().tolist() == [0, 1] for part in plain)


def test_a_world_may_keep_to_its_own_minibatch(parts):
    """joint_norm = False: the deviation within each rank's rows, and no message, which these worlds could not send."""
    x = np.random.default_rng(0).normal(size=(4, 2, 3, 3))
    Part.joint_norm = False
    try:
        for y in parts(2, lambda: mg.ops.minibatch_stddev(mg.tensor(x)).data):
            np.testing.assert_array_equal(y, mg.ops.minibatch_stddev(mg.tensor(x)).data)
    finally:
        del Part.joint_norm


def test_outside_a_step_every_rank_is_alone():
    distributed.set_world(Part(1, 2))
    try:
        assert distributed.world().size == 2 and distributed.joint() is ALONE
        np.testing.assert_array_equal(Stream(7, "noise").normal((8, 3), samples=0), Stream(7, "noise").normal((8, 3)))
        assert len(next(data.Loader(np.zeros((8, 1)), 8))) == 8
        mg.optim.SGD([p := mg.tensor([1.0], requires_grad=True)], lr=1.0).minimize(p.sum())
    finally:
        distributed.set_world(ALONE)


def test_a_pool_plans_for_the_images_of_all_ranks(parts):
    plan = ImagePool(5, Stream(0, "pool")).plan(8)
    for own in parts(4, lambda: ImagePool(5, Stream(0, "pool")).plan(2)):
        np.testing.assert_array_equal(own.given, plan.given)
        np.testing.assert_array_equal(own.kept, plan.kept)


def test_batches_that_ranks_cannot_share():
    with pytest.raises(OptionError, match=r"a batch of 3 for 4 ranks: some would have none; use a --batch-size of at "
                                          "least 4, or fewer ranks"):
        Part(0, 4).share(3)
    with pytest.raises(OptionError, match="a batch of 10 cannot be shared equally by 4 ranks; use a --batch-size such "
                                          "as 8 or 12"):
        Part(0, 4).share(10)


def test_one_process_computes_nothing_more():
    a = np.zeros(3)
    assert ALONE.mean([a])[0] is a and ALONE.gather(a) is a and ALONE.rows(a) is a


def test_a_flat_buffer_and_back():
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(2, 3, 4, 5)).transpose(0, 3, 1, 2), rng.normal(size=()), rng.normal(size=(3, 1)),
              rng.normal(size=(4, 3)).T]
    flat = flattened(arrays)
    assert flat.shape == (120 + 1 + 3 + 12,)
    np.testing.assert_array_equal(flat[:120], arrays[0].transpose(0, 2, 3, 1).ravel())  # the order of its memory
    for array, again in zip(arrays, apart(flat, arrays), strict=True):
        np.testing.assert_array_equal(again, array)
        assert again.strides == array.strides


def test_sums_are_added_in_the_order_of_ranks():
    """1 + 2^24 + 1 in float32 depends on the order: from the left, both ones are lost."""
    rows = np.array([[2.0**24], [1.0], [1.0]], np.float32)
    assert in_order(rows)[0] == 2.0**24 and in_order(rows[::-1])[0] == 2.0**24 + 2


class Pair(World):
    """Two ranks, of which the other answers with what `theirs` makes of this one's value."""

    size = 2

    def __init__(self, theirs):
        self.theirs = theirs

    def collect(self, value):
        return [value, self.theirs(value)]


@pytest.mark.parametrize("name, mine, other", [
    ("--lr", 0.1, 0.2), ("the version of minigan", "0.1.0", "0.0.7"), ("the checksum of mnist", 1, 2),
    ("the kind of device", "cpu", "cuda"), ("--check-finite", None, True)])
def test_what_differs_at_the_start_is_named(name, mine, other):
    facts = {"--steps": 5, **({} if mine is None else {name: mine})}
    with pytest.raises(DistributedError, match=f"^{name} is {mine} on rank 0, but {other} on rank 1 of 2: "):
        check_same(Pair(lambda value: {**value, name: other}), facts)
    check_same(Pair(lambda value: value), facts)


def test_the_first_network_that_differs_is_named():
    networks = {name: mg.nn.Linear(2, 2) for name in ("generator", "discriminator")}
    compare_weights(Pair(lambda value: value), networks, 7)
    with pytest.raises(DistributedError, match=r"^step 7: the weights of discriminator differ between ranks: \w+ on "
                                               "rank 0, other on rank 1 of 2"):
        compare_weights(Pair(lambda value: {**value, "discriminator": "other"}), networks, 7)


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.long)])
def test_sums_and_gathers_of_mpi(ranks, count):
    results = ranks(count, "sums")
    assert results.pop("float64 beside float32") == ["float64", "float32"]
    assert results.pop("first") == [0]
    assert results.pop("its error").startswith("Loader: batch_size=4")
    assert len(results) == 8 and all(results.values()), results
