"""Compressed pictures: codes come back exactly, near their ideal length; every damage is an error with its remedy."""

import contextlib
import re
import struct
import zlib

import numpy as np
import pytest

import minigan as mg
from minigan import models
from minigan.__main__ import main
from minigan.checkpoint import save_weights
from minigan.errors import CheckpointError, DataError, OptionError, ShapeError
from minigan.report import save_png
from minigan.run import codec as files
from minigan.run.codec import coder, saved

constriction = pytest.importorskip("constriction", reason="the entropy coder, extra `codec`")
LEVELS, CODE = 5, 3


def codes(count, h=6, w=5, seed=0):
    """Codes whose numbers often repeat the one to their left."""
    rng = np.random.default_rng(seed)
    symbols = rng.integers(0, LEVELS, (count, CODE, h, w))
    for x in range(1, w):
        same = rng.random((count, CODE, h)) < 0.8
        symbols[..., x] = np.where(same, symbols[..., x - 1], symbols[..., x])
    return symbols


def run_folder(folder, seed=1):
    """The files of a run with networks that were not trained, and a prior of any codes."""
    mg.seed(seed)
    encoder, decoder = models.codec(3, 2, CODE, LEVELS, 2, 1)
    for p in (*encoder.parameters(), *decoder.parameters()):
        if p.ndim == 4:
            p.writable()[...] *= 12  # so that more than one level is used, and pictures are not all grey
    folder.mkdir()
    for name, state in (("encoder", encoder.state_dict()), ("decoder", decoder.state_dict()),
                        ("prior", {"counts": files.Prior.of(codes(20), LEVELS).counts})):
        save_weights(folder / f"{name}.safetensors", state)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_folder(tmp_path_factory.mktemp("codec") / "run")


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(5).integers(0, 256, (21, 30, 3), np.uint8)


# ---- the prior and the coder ----
def test_the_probabilities_are_blended_counts():
    """Of one place and context, by hand: three contexts, each with the weight of two observations."""
    seen = codes(30)
    prior, (n, k, y, x) = files.Prior.of(seen, LEVELS), (4, 2, 3, 3)
    left, up, before = seen[n, k, y, x - 1], seen[n, k, y - 1, x], seen[n, k - 1, y, x]
    p = np.full(LEVELS, 1 / LEVELS)
    around = np.pad(seen, ((0, 0), (1, 0), (1, 0), (1, 0)), constant_values=LEVELS)
    own, lefts, ups, befores = (part[:, k] for part in (
        seen, around[:, 1:, 1:, :-1], around[:, 1:, :-1, 1:], around[:, :-1, 1:, 1:]))
    for mask in (np.full(own.shape, True), (lefts == left) & (ups == up),
                 (lefts == left) & (ups == up) & (befores == before)):
        n_s = np.bincount(own[mask], minlength=LEVELS)
        p = (n_s + 2 * p) / (n_s.sum() + 2)
    np.testing.assert_allclose(prior.rows(seen[n])[k, y, x], p, rtol=1e-6)
    np.testing.assert_allclose(prior.probabilities.sum(-1), 1, rtol=1e-6)


def test_codes_come_back_and_take_what_shannon_says():
    prior, ideal, real = files.Prior.of(codes(200), LEVELS), 0.0, 0
    for symbols in codes(20, 12, 9, seed=1):
        body = coder.encode(symbols, prior)
        np.testing.assert_array_equal(coder.decode(body, prior, 12, 9), symbols)
        assert prior.bits(symbols) / 8 - 1 < len(body) < prior.bits(symbols) / 8 + 5
        ideal, real = ideal + prior.bits(symbols), real + 8 * len(body)
    assert real < 1.06 * ideal < 0.7 * symbols.size * np.log2(LEVELS) * 20  # the contexts are worth it


@pytest.mark.parametrize("counts", [
    np.zeros((2, 6, 6, 6, 5), np.int64), np.zeros((2, 6, 6, 5, 5), np.uint32), np.zeros(0, np.uint32)])
def test_what_is_no_prior(counts):
    with pytest.raises(CheckpointError, match=r"uint32 \(K, L\+1, L\+1, L\+1, L\)"):
        files.Prior(counts)


def test_what_is_no_code():
    for symbols in (np.full((1, 1, 2, 2), 5), np.full((1, 1, 2, 2), -1), np.zeros((2, 2), int)):
        with pytest.raises(ShapeError, match="of 0 to 4"):
            files.Prior.of(symbols, 5)


# ---- the file ----
def test_a_picture_comes_back_as_the_networks_draw_it(run, picture):
    """Mirrored to 24 x 32; again by a codec that is loaded again; and equal to encoder and decoder in one."""
    one, other = files.load_codec(run), files.load_codec(run)
    file = one.compress(picture)
    whole = np.pad(picture, ((0, 3), (0, 2), (0, 0)), "symmetric").transpose(2, 0, 1)[None]
    with mg.no_grad():
        levels = one.encoder(mg.tensor(whole.astype(np.float32) / 127.5 - 1))
        drawn = one.decoder(levels).numpy()[0].transpose(1, 2, 0)[:21, :30]
    assert len(np.unique(levels.numpy())) > 2 and drawn.std() > 0.05
    np.testing.assert_array_equal(other.decompress(file), np.rint((drawn + 1) * 127.5))
    assert other.compress(picture) == file


@pytest.mark.parametrize("sides", [(1, 1), (3, 70), (8, 8)])
def test_pictures_of_any_size(run, sides):
    codec = files.load_codec(run)
    pixels = np.full((*sides, 3), 200, np.uint8)
    assert codec.decompress(codec.compress(pixels)).shape == pixels.shape


def test_every_damage_is_found(run, picture):
    codec = files.load_codec(run)
    file = codec.compress(picture)
    for place in range(len(file)):
        broken = bytearray(file)
        broken[place] ^= 16
        with pytest.raises(DataError, match="not a picture that minigan|version 17|damaged or truncated"):
            codec.decompress(bytes(broken), "x.mgc")
        with pytest.raises(DataError, match="not a picture|truncated"):
            codec.decompress(file[:place], "x.mgc")
    with pytest.raises(DataError, match="damaged or truncated"):
        codec.decompress(file + b"\0", "x.mgc")


def test_other_weights_and_foreign_files(run, picture, tmp_path):
    file = files.load_codec(run).compress(picture)
    other = files.load_codec(run_folder(tmp_path / "other", seed=2))
    with pytest.raises(DataError, match=f"x.mgc: compressed with the model {file[4:8].hex()}, but this run's is "
                                        f"{other.model.hex()}; name the run that it was compressed with"):
        other.decompress(file, "x.mgc")
    with pytest.raises(DataError, match="x.png: not a picture that minigan compressed; such files are written by"):
        other.decompress(b"\x89PNG\r\n\x1a\n" + bytes(40), "x.png")
    huge = struct.pack(">3sB4sHH", b"MGC", 1, other.model, 65535, 65535)
    with pytest.raises(DataError, match="65,535 x 65,535 pixels; the codec takes"):
        other.decompress(huge + struct.pack(">I", zlib.crc32(huge)), "x.mgc")
    with pytest.raises(ShapeError, match=r"must be uint8 \(H, W, C\) with C=3"):
        other.compress(picture[:, :, :1])


def test_a_body_that_no_encoder_wrote_is_a_picture_or_an_error(run):
    codec = files.load_codec(run)
    for seed in range(5):
        body = np.random.default_rng(seed).bytes(seed * 7)
        file = files.pack(files.Container(codec.model, 9, 9, body))
        with contextlib.suppress(DataError):
            assert codec.decompress(file).shape == (9, 9, 3)


# ---- a run ----
def test_a_run_without_a_codec(tmp_path, run):
    with pytest.raises(DataError, match="there is no such folder"):
        files.load_codec(tmp_path / "nothing")
    folder = run_folder(tmp_path / "run")
    (folder / "prior.safetensors").unlink()
    with pytest.raises(DataError, match="prior.safetensors is missing; a codec is a finished run of examples/codec.py"):
        files.load_codec(folder)
    save_weights(folder / "prior.safetensors", {"counts": np.ones((CODE + 1, *[LEVELS + 1] * 3, LEVELS), np.uint32)})
    with pytest.raises(CheckpointError, match="do not fit; take all three files from one run"):
        files.load_codec(folder)
    save_weights(folder / "encoder.safetensors", {"model.1.weight": np.zeros((2, 3, 7, 7), np.float32)})
    with pytest.raises(CheckpointError, match="not those of a codec"):
        files.load_codec(folder)


def test_weights_that_describe_a_huge_network_are_refused_before_it_is_made(run):
    first = {f"w{i}": np.zeros((1, 1, 1, 1), np.float32) for i in range(6)}
    first |= {"model.1.weight": np.zeros((10**6, 1, 0, 7), np.float32), "model.19.weight": np.zeros((1, 1, 1, 1))}
    first.pop("w0")
    with pytest.raises(CheckpointError, match="their shapes describe .* numbers, but they hold"):
        saved._networks(first, {}, LEVELS)


# ---- the command ----
def test_a_file_there_and_back_by_the_command(run, picture, tmp_path, capsys):
    source, file, out = tmp_path / "in.png", tmp_path / "x.mgc", tmp_path / "out.png"
    save_png(picture, source)
    assert main(["codec", "compress", str(run), str(source), str(file)]) == 0
    size = len(file.read_bytes())
    assert f"{size:,} bytes for 21 x 30 pixels, {8 * size / 630:.3f} bits per pixel" in capsys.readouterr().out
    assert main(["codec", "decompress", str(run), str(file), str(out)]) == 0
    image = pytest.importorskip("PIL.Image")
    np.testing.assert_array_equal(np.asarray(image.open(out)), files.load_codec(run).decompress(file.read_bytes()))
    for arguments, error, words in (
            (["decompress", run, file, tmp_path / "out.jpg"], OptionError, "is a PNG"),
            (["compress", run, source, source], OptionError, "would overwrite what is read"),
            (["decompress", run, tmp_path / "no.mgc", out], DataError, "there is no such file"),
            (["decompress", run, source, tmp_path / "o.png"], DataError, "not a picture that minigan compressed")):
        with pytest.raises(error, match=re.escape(words)):
            main(["codec", *map(str, arguments)])
