"""A run stopped and continued equals an uninterrupted one: the same bytes in every file, for every trainer."""

import json

import numpy as np
import pytest

import minigan as mg
from minigan import data, models, report, run, trainers
from minigan.checkpoint import Series, load_state, save_state
from minigan.errors import CheckpointError, DataError, NonFiniteError, OptionError

APART = ("config.json", "events.jsonl", "report.html")  # these record that and when a run was resumed


@pytest.fixture(autouse=True)
def _without_curves(monkeypatch):
    """Skip the curves, which depend only on the metrics and take a third of a second."""
    monkeypatch.setattr(report, "loss_curves", lambda rows, path: None)


@pytest.fixture(scope="module")
def images():
    pixels = np.random.default_rng(0).integers(0, 256, (22, 1, 28, 28), np.uint8)
    return data.ImageData(pixels, np.zeros(22, np.uint8), "noise", "22 images of noise")


def trained(images, out, *arguments, loss="non_saturating", spoil=None, score=None, **extra):
    """Train a new tiny GAN, as a script does; returns its trainer."""
    options = run.options("", ["--out", str(out), "--batch-size", "4", *arguments], name="x", latent=4, **extra)
    recipe = trainers.recipe(loss)
    trainer = recipe.trainer(*models.dcgan(1, 28, 4, 4, norm=recipe.norm), n_discriminator=2, ema=0.9, lr=None)
    if spoil is not None:
        spoil(trainer)
    loader = data.Loader(images, options.batch_size, seed=options.seed).to(options.device)
    z = np.ones((4, 4), np.float32)

    def sheet():
        drawn = trainer.sample_later(z)
        return lambda: report.grid(drawn())

    run.fit(trainer, loader, options, images, reals=np.zeros((2, 2), np.uint8), sheet=sheet, score=score)
    return trainer


def contents(folder):
    """All files of a run that must not depend on whether it was interrupted; of checkpoints, the newest state."""
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*")
             if p.is_file() and p.parent.name != "checkpoints" and p.name not in APART}
    state, _, damaged = Series(folder / "checkpoints").newest()
    assert not damaged
    config = json.loads((folder / "config.json").read_text())
    del config["sessions"]  # the time it took
    for known in (config, state["config"]):
        known["options"].pop("out")
    return {**files, "config": config, **dict(flat(state))}


def flat(state, place="state"):
    if isinstance(state, (dict, list)):
        for key, value in state.items() if isinstance(state, dict) else enumerate(state):
            yield from flat(value, f"{place}/{key}")
    else:
        yield place, (state.dtype.str, state.shape, state.tobytes()) if isinstance(state, np.ndarray) else state


def assert_same(one, other):
    one, other = contents(one), contents(other)
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == []


@pytest.mark.parametrize("loss", trainers.RECIPES)
def test_stopped_and_continued_is_not_stopped(images, tmp_path, loss):
    """In the middle of an epoch: 22 images are 5 batches, a step takes 2 of them."""
    trained(images, tmp_path / "whole", "--steps", "5", loss=loss)
    trained(images, tmp_path / "parts", "--steps", "3", loss=loss)
    (tmp_path / "parts" / "samples" / "step_000003.png").unlink()  # written at the end of the shorter run
    mg.seed(99)  # as in another process
    mg.random.default.normal(5)
    trained(images, tmp_path / "parts", "--steps", "5", "--resume", loss=loss, spoil=spoil)
    assert_same(tmp_path / "whole", tmp_path / "parts")


def test_with_bf16_emulated_too_and_only_where_it_is_asked_for(images, tmp_path):
    """Continued with it, the same bytes; continued without it, a change of the run that is recorded, as for `fp32`."""
    rounds = ("--precision", "bf16-emulated")
    trained(images, tmp_path / "whole", "--steps", "5", *rounds)
    trained(images, tmp_path / "parts", "--steps", "3", *rounds)
    (tmp_path / "parts" / "samples" / "step_000003.png").unlink()  # written at the end of the shorter run
    trained(images, tmp_path / "exact", "--steps", "5")
    trained(images, tmp_path / "parts", "--steps", "5", "--resume")
    assert mg.kernels.get_precision() == "bf16-emulated"
    assert_same(tmp_path / "whole", tmp_path / "parts")
    exact, rounded = ((tmp_path / name / "generator.safetensors").read_bytes() for name in ("exact", "whole"))
    assert exact != rounded
    trained(images, tmp_path / "parts", "--steps", "6", "--resume", "--precision", "fast")
    changed = (tmp_path / "parts" / "events.jsonl").read_text().splitlines()[-1]
    assert json.loads(changed)["changed"]["precision"] == ["bf16-emulated", "fast"]


def spoil(trainer):
    """Overwrite a trainer's state before it is resumed, so that nothing of it can be used."""
    for network in trainer.networks.values():
        for array in [*(p.writable() for p in network.parameters()), *(b for _, b in network.named_buffers())]:
            array[...] = 0.5


def test_what_a_killed_run_wrote_after_its_checkpoint_is_written_again(images, tmp_path):
    trained(images, tmp_path / "whole", "--steps", "7")
    trained(images, tmp_path / "parts", "--steps", "7", "--checkpoint-every", "4")
    (tmp_path / "parts" / "checkpoints" / "step_00000007.safetensors").unlink()
    with (tmp_path / "parts" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 8, "d_lo')
    trained(images, tmp_path / "parts", "--resume")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for known in (whole, parts):
        config = json.loads((known / "config.json").read_text())
        config["options"].pop("checkpoint_every")
        run.write_config(known, config)
    assert (whole / "metrics.jsonl").read_bytes() == (parts / "metrics.jsonl").read_bytes()
    assert {p.name for p in (whole / "samples").iterdir()} == {p.name for p in (parts / "samples").iterdir()}
    for name in ("generator", "averaged", "discriminator"):
        assert (whole / f"{name}.safetensors").read_bytes() == (parts / f"{name}.safetensors").read_bytes()


def test_with_a_schedule_the_rest_is_planned_as_before(images, tmp_path):
    """Saved at step 4 of 7, then continued without --steps: the learning rate falls as in the whole run."""
    trained(images, tmp_path / "whole", "--steps", "7", "--schedule", "linear")
    trained(images, tmp_path / "parts", "--steps", "7", "--schedule", "linear", "--checkpoint-every", "4")
    (tmp_path / "parts" / "checkpoints" / "step_00000007.safetensors").unlink()
    trained(images, tmp_path / "parts", "--resume", "--checkpoint-every", "auto")
    (tmp_path / "parts" / "checkpoints" / "step_00000004.safetensors").unlink()
    assert_same(tmp_path / "whole", tmp_path / "parts")
    with pytest.raises(OptionError, match=r"--steps was 7, now 9.*the schedule of the learning rate depends"):
        trained(images, tmp_path / "parts", "--resume", "--steps", "9")


class Falling:
    """A score whose best value is at step 4."""

    def __init__(self):
        self.best = float("inf")

    def __call__(self, folder, step):
        value = float((step - 4) ** 2)
        with (folder / "scores.jsonl").open("a") as file:
            file.write(json.dumps({"step": step, "frechet": value}) + "\n")
        self.best = min(self.best, value)

    def state_dict(self):
        return {"best": self.best}

    def load_state_dict(self, state):
        self.best = state["best"]


def test_scores_continue_and_the_best_state_is_kept(images, tmp_path):
    every = {"score_every": 2}
    trained(images, tmp_path / "whole", "--steps", "7", "--checkpoint-every", "1", score=Falling(), **every)
    trained(images, tmp_path / "parts", "--steps", "7", "--checkpoint-every", "1", score=Falling(), **every)
    (tmp_path / "parts" / "checkpoints" / "step_00000007.safetensors").unlink()
    trained(images, tmp_path / "parts", "--resume", score=Falling(), **every)
    assert_same(tmp_path / "whole", tmp_path / "parts")
    assert load_state(tmp_path / "parts" / "checkpoints" / "best.safetensors")[0]["step"] == 4
    kept = {p.name for p in (tmp_path / "parts" / "checkpoints").glob("*.safetensors")}
    assert kept == {"best.safetensors", "step_00000006.safetensors", "step_00000007.safetensors"}


# ---- errors ----
@pytest.fixture
def stopped(images, tmp_path):
    trained(images, tmp_path / "run", "--steps", "3", "--checkpoint-every", "1")
    return tmp_path / "run"


@pytest.mark.parametrize("spoil", ["flip", "cut", "empty"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(images, stopped, capsys, spoil):
    whole = (stopped / "metrics.jsonl").read_bytes()
    newest = stopped / "checkpoints" / "step_00000003.safetensors"
    raw = bytearray(newest.read_bytes())
    raw[len(raw) // 2] ^= 4
    newest.write_bytes({"flip": raw, "cut": raw[:-100], "empty": b""}[spoil])
    trained(images, stopped, "--resume")
    output = capsys.readouterr().out
    assert "skipped:" in output and "step_00000003.safetensors" in output and "continued from step 2" in output
    assert (stopped / "metrics.jsonl").read_bytes() == whole
    event = json.loads((stopped / "events.jsonl").read_text())
    assert event["step"] == 2 and "step_00000003" in event["damaged"][0]


def test_nothing_to_continue_from(images, stopped, tmp_path):
    for file in (stopped / "checkpoints").iterdir():
        file.write_bytes(b"no")
    with pytest.raises(CheckpointError, match="no checkpoint to continue from: all are damaged"):
        trained(images, stopped, "--resume")
    with pytest.raises(CheckpointError, match="no checkpoint to continue from: there is none"):
        trained(images, stopped, "--resume")
    with pytest.raises(SystemExit):
        trained(images, tmp_path / "elsewhere", "--resume")
    assert not (tmp_path / "elsewhere").exists()


def test_other_options_other_data_another_model(images, stopped):
    with pytest.raises(OptionError, match=r"--seed was 0, now 1: another run\. Only these may change: --out, --data"):
        trained(images, stopped, "--resume", "--seed", "1")
    other = data.ImageData(images.images[::-1], images.labels, "noise", "22 others")
    with pytest.raises(DataError, match="other data: 22 images of noise then, 22 others now"):
        trained(other, stopped, "--resume")
    with pytest.raises(CheckpointError, match=r"step_00000003.*a state with the parts|discriminator: .*another model"):
        trained(images, stopped, "--resume", "--steps", "4", loss="wasserstein_gp")
    config = (stopped / "config.json").read_bytes()
    with pytest.raises(OptionError, match="3 steps are done already, so --steps cannot be 2"):
        trained(images, stopped, "--resume", "--steps", "2")
    assert (stopped / "config.json").read_bytes() == config
    (stopped / "metrics.jsonl").write_text("")
    with pytest.raises(DataError, match=r"metrics.jsonl: has 0 bytes, but had"):
        trained(images, stopped, "--resume", "--steps", "4")


def test_formats(stopped, monkeypatch):
    """A newer format is refused, without a fallback to an older file; an older one is converted, or refused."""
    from minigan.checkpoint import state as format_

    series = Series(stopped / "checkpoints")
    monkeypatch.setattr(format_, "VERSION", 2)
    save_state(series.path(9), {"step": 9})
    with pytest.raises(CheckpointError, match="in format 1, which this minigan no longer reads"):
        load_state(series.path(3))
    monkeypatch.setattr(format_, "MIGRATIONS", {1: lambda state: {**state, "step": -state["step"]}})
    assert load_state(series.path(3))[0]["step"] == -3
    monkeypatch.setattr(format_, "VERSION", 1)
    with pytest.raises(CheckpointError, match="a newer minigan wrote it, in format 2; this one reads up to 1"):
        series.newest()
    with pytest.raises(CheckpointError, match="no run can continue from it: it holds 'minigan weights 1'"):
        load_state(stopped / "generator.safetensors")


def test_a_state_comes_back_as_it_was(tmp_path):
    state = {"a/b": np.arange(3), "a": {"b": np.float32([[1.5]]).T, "~0": [], "": {}}, "pool": [np.zeros((0, 2)), [1]],
             "seed": 2**64 - 1, "rate": 0.1, "best": float("inf"), "name": "é\n", "none": None, "yes": True}
    save_state(tmp_path / "x", state)
    assert dict(flat(load_state(tmp_path / "x")[0])) == dict(flat(state))
    for wrong in ({1: 2}, {"a": object()}, {"a": [{"b": {1, 2}}]}, {"a": np.array(["x"])}):
        with pytest.raises(CheckpointError, match="not saved"):
            save_state(tmp_path / "y", wrong)
    assert not (tmp_path / "y").exists()


# ---- NaN ----
def test_a_diverged_run_goes_back_and_on_with_a_smaller_rate(images, tmp_path, capsys):
    hits = []

    def poisoned(trainer):
        update = trainer.update

        def once(*batches):
            if trainer.steps == 5 and not hits:
                hits.append(1)
                trainer.generator.parameters()[0].writable()[...] = np.nan
            return update(*batches)

        trainer.update = once

    trainer = trained(images, tmp_path / "run", "--steps", "7", "--rollback", "--checkpoint-every", "3", spoil=poisoned)
    rows = report.read_rows(tmp_path / "run" / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(1, 8))
    assert all(np.isfinite(value) for row in rows for value in row.values())
    assert [optimizer.lr for optimizer in trainer.optimizers.values()] == [1e-4, 1e-4]
    event, = (json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines())
    assert event["event"] == "rolled back" and event["step"] == 3 and "step 6: " in event["reason"]
    trainer = trained(images, tmp_path / "run", "--steps", "8", "--resume")
    assert trainer.g_optimizer.lr == 1e-4  # as when the run stopped


def test_a_run_that_keeps_diverging_ends(images, tmp_path):
    def poisoned(trainer):
        trainer.update = lambda *batches: {"d_loss": mg.tensor(np.nan)}

    with pytest.raises(NonFiniteError, match="d_loss is nan"):
        trained(images, tmp_path / "run", "--steps", "7", "--rollback", spoil=poisoned)
    assert len((tmp_path / "run" / "events.jsonl").read_text().splitlines()) == 5


def test_weights_that_are_not_finite_are_not_kept(images, tmp_path):
    def poisoned(trainer):
        trainer.update = lambda *batches: [p.writable().fill(np.inf) for p in trainer.discriminator.parameters()] and {
            "d_loss": mg.tensor(0.0)}

    with pytest.raises(NonFiniteError, match=r"step 2: discriminator\..*holds NaN or infinity"):
        trained(images, tmp_path / "run", "--steps", "7", "--checkpoint-every", "2", spoil=poisoned)
    assert Series(tmp_path / "run" / "checkpoints").steps() == [0]
