"""The codec of a run: `codec = load_codec("runs/codec")`, `codec.compress(pixels)`, `codec.decompress(file)`.

It is rebuilt from three files alone, whose shapes determine the networks: encoder, decoder and prior .safetensors.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np

from minigan import models
from minigan.checkpoint import inside, load_weights, save_weights
from minigan.data import scaled
from minigan.data.paths import user_path
from minigan.engine import device, no_grad, tensor
from minigan.errors import CheckpointError, DataError, ShapeError
from minigan.models.codec import widths
from minigan.ops.quantize import nearest_level
from minigan.run.codec import coder
from minigan.run.codec.container import Container, check_sides, pack, unpack
from minigan.run.codec.prior import Prior
from minigan.run.manifest import record

FILES = ("encoder.safetensors", "decoder.safetensors", "prior.safetensors")
CHUNK = 64  # pictures encoded in one pass
MOST_HALVINGS, MOST_BLOCKS = 8, 64
Weights = Mapping[str, np.ndarray]


class SavedCodec:
    """An encoder, a decoder and the prior of their codes: pictures to the bytes of a file and back.

    encoder, decoder  networks, in evaluation mode      channels  of the pictures, 1 or 3
    prior             of the codes                      model     what decodes, hashed: 4 bytes

    Raises:
        CheckpointError: the three do not fit together.
    """

    def __init__(self, encoder: models.CodecEncoder, decoder: models.CodecDecoder, prior: Prior) -> None:
        if not (encoder.code == decoder.code == prior.code and encoder.levels == prior.levels
                and encoder.in_channels == decoder.out_channels and encoder.multiple == decoder.scale):
            raise CheckpointError(f"an encoder to {encoder.code} channels at 1/{encoder.multiple} of the size, a "
                                  f"decoder of {decoder.code} at 1/{decoder.scale} and a prior of {prior.code} do not "
                                  "fit; take all three files from one run")
        self.encoder, self.decoder, self.prior = encoder.eval(), decoder.eval(), prior
        self.channels, self.multiple, self.model = encoder.in_channels, encoder.multiple, _hash(decoder, prior)

    def compress(self, pixels: np.ndarray, name: str = "the picture") -> bytes:
        """The file of a picture, uint8 (H, W, C), of any size: it is mirrored to multiples of 2^halvings.

        Raises:
            ShapeError: other axes or channels. DataError: too large. ModuleNotFoundError: constriction is missing.
        """
        if pixels.ndim != 3 or pixels.shape[2] != self.channels or pixels.dtype != np.uint8:
            raise ShapeError(f"{name}: {pixels.dtype} {pixels.shape} must be uint8 (H, W, C) with C={self.channels}, "
                             "as the run's pictures have")
        H, W = pixels.shape[:2]
        check_sides(H, W, name)
        more = [n - side for n, side in zip(self._sides(H, W), (H, W), strict=True)]
        whole = np.pad(pixels, ((0, more[0]), (0, more[1]), (0, 0)), "symmetric")
        symbols = symbols_of(self.encoder, whole.transpose(2, 0, 1)[None])[0]
        return pack(Container(self.model, H, W, coder.encode(symbols, self.prior)))

    def decompress(self, file: bytes, name: str = "the file") -> np.ndarray:
        """The picture of a file, uint8 (H, W, C).

        Raises:
            DataError: not such a file, damaged, or compressed with other weights; see container.unpack.
        """
        model, H, W, body = unpack(file, name)
        if model != self.model:
            raise DataError(f"{name}: compressed with the model {model.hex()}, but this run's is {self.model.hex()}; "
                            "name the run that it was compressed with, with its weights and prior as they were then")
        h, w = (side // self.multiple for side in self._sides(H, W))
        symbols = coder.decode(body, self.prior, h, w)
        levels = (symbols - (self.prior.levels - 1) / 2).astype(np.float32)[None]  # (1, K, h, w)
        where = self.decoder.parameters()[0].device
        with no_grad():
            image = device.asnumpy(self.decoder(tensor(levels, device=where)).data)[0, :, :H, :W]
        return np.rint((image.transpose(1, 2, 0) + 1) * 127.5).clip(0, 255).astype(np.uint8)

    def _sides(self, *sides: int) -> list[int]:
        """The sides that the networks work on: multiples of 2^halvings, at least two places, for a mirrored border."""
        return [max(2 * self.multiple, side + -side % self.multiple) for side in sides]


def symbols_of(encoder: models.CodecEncoder, images: np.ndarray) -> np.ndarray:
    """The codes int64 (N, K, h, w), from 0 to levels-1, of images uint8 (N, C, H, W); the encoder must be in eval."""
    where = encoder.parameters()[0].device
    parts = []
    with no_grad():
        for start in range(0, len(images), CHUNK):
            levels = encoder(tensor(scaled(images[start : start + CHUNK]), device=where))
            parts.append(nearest_level(device.asnumpy(levels.data), encoder.levels).astype(np.int64))
    return np.concatenate(parts)


def save_prior(folder: Path, encoder: models.CodecEncoder, decoder: models.CodecDecoder,
               images: np.ndarray) -> SavedCodec:
    """Count the codes of training pictures uint8 (N, C, H, W), write prior.safetensors into the run; its codec.

    Raises:
        CheckpointError: the networks do not fit together, or the file cannot be written.
    """
    prior = Prior.of(symbols_of(encoder.eval(), images), encoder.levels)
    codec = SavedCodec(encoder, decoder, prior)
    record(folder, FILES[2])
    save_weights(folder / FILES[2], {"counts": prior.counts})
    return codec


def load_codec(run: str | os.PathLike[str]) -> SavedCodec:
    """The codec of a run, by its folder.

    Raises:
        DataError: the folder or one of its three files is missing.
        CheckpointError: a file is damaged, of another network, or of another run than the others.
    """
    folder = user_path(run)
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder; name that of a run of examples/codec.py")
    first, second, third = (_load(folder, name) for name in FILES)
    try:
        prior = Prior(third.get("counts", np.zeros(0)))
        return SavedCodec(*_networks(first, second, prior.levels), prior)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from None


def _networks(first: Weights, second: Weights, levels: int) -> tuple[models.CodecEncoder, models.CodecDecoder]:
    """The networks that these weights of an encoder and a decoder describe, with them. Raises CheckpointError."""
    try:
        width, channels = first["model.1.weight"].shape[:2]
        halvings = sum(array.ndim == 4 for array in first.values()) - 2
        code = first[f"model.{4 + 3 * halvings}.weight"].shape[0]
        blocks = sum(name.endswith("conv_block.1.weight") for name in second)
        _check_size(width, channels, code, halvings, blocks, sum(a.size for a in (*first.values(), *second.values())))
        encoder, decoder = models.codec(channels, width, code, levels, halvings, blocks)
    except (LookupError, ValueError) as error:
        raise CheckpointError(f"its encoder and decoder are not those of a codec ({error}); name a run of "
                              "examples/codec.py") from None
    for network, weights, name in ((encoder, first, FILES[0]), (decoder, second, FILES[1])):
        try:
            network.load_state_dict(weights)
        except CheckpointError as error:
            raise CheckpointError(f"{name}: {error}; take the three files from one run") from None
    return encoder, decoder


def _load(folder: Path, name: str) -> dict[str, np.ndarray]:
    if not inside.check(folder, name):
        raise DataError(f"{folder}: {name} is missing; a codec is a finished run of examples/codec.py: train one, or "
                        "continue the run with --resume")
    return load_weights(folder / name)


def _check_size(width: int, channels: int, code: int, halvings: int, blocks: int, held: int) -> None:
    """Raise ValueError if the networks would be much larger than the weights: before they are built."""
    if not 1 <= halvings <= MOST_HALVINGS or blocks > MOST_BLOCKS:
        raise ValueError(f"{halvings} halvings and {blocks} blocks")
    sizes = widths(width, halvings)
    needed = 18 * sum(a * b for a, b in pairwise(sizes)) + 18 * (blocks * sizes[-1] ** 2 + code * sizes[-1])
    if needed + 98 * width * channels > 2 * held:
        raise ValueError(f"their shapes describe {needed:,} numbers, but they hold {held:,}")


def _hash(decoder: models.CodecDecoder, prior: Prior) -> bytes:
    """The first 4 bytes of the SHA-256 of the names and numbers that decode."""
    digest = hashlib.sha256()
    for name, array in sorted({**decoder.state_dict(), "prior": prior.counts}.items()):
        stored = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"))
        digest.update(f"{name} {stored.dtype.str} {stored.shape}\n".encode() + stored.tobytes())
    return digest.digest()[:4]
