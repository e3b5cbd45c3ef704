"""conv.cu's main loop, counted in machine code: instructions per tensor-core product, registers, no spills.

Each quarter of a multiprocessor issues one instruction a cycle and has one tensor core, which a TF32 product (HMMA)
keeps busy for 8 cycles on an A100, 6 on an H100 and 16 or more on cards for games: with fewer instructions than that to
a product, the tensor core is the limit. Nothing here is timed. The bounds are nvcc 13.0's numbers, a little rounded up.
"""

import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest
from test_compile import OPTIONS, program

from minigan.kernels.cuda import tiles
from minigan.kernels.cuda.limits import A100, H100, RESERVED, RTX

CARDS = {80: A100, 86: RTX, 90: H100, 120: RTX}
FORWARD, DATA, WEIGHTS = (1, 0), (1, 1), (0, 0)  # A_ALONG_K, B_ALONG_K
MOST = {  # instructions per product in the loop of the largest tile, all of them counted: loads, addresses, rounding
    (80, "TF32"): {FORWARD: 5, DATA: 5.1, WEIGHTS: 6.7}, (90, "TF32"): {FORWARD: 5, DATA: 5.1, WEIGHTS: 6.7},
    (86, "TF32"): {FORWARD: 5.4, DATA: 5.7, WEIGHTS: 7.1}, (120, "TF32"): {FORWARD: 6.5, DATA: 6.9, WEIGHTS: 8.2},
    (80, "bf16"): {FORWARD: 3, DATA: 3.2, WEIGHTS: 4.8}, (90, "bf16"): {FORWARD: 3, DATA: 3.2, WEIGHTS: 4.8}}
TILES = [*tiles.TILES, tiles.HALF, tiles.NARROW]


class Loop(NamedTuple):
    """The innermost loop with tensor-core products, and what the compiler says of its kernel."""

    instructions: int
    products: int
    registers: int
    local: int  # instructions anywhere in the kernel that read or write spilled registers


def macros_of(tile, along, limits, kind="TF32"):
    """The macros with which conv.py compiles a product."""
    deep, stages = tiles.stages_of(tile, along, limits)
    halves = kind == "bf16"
    types = {"BF16": 1, "STORE": "bf16", "OUT": "bf16"} if halves else {"REAL": "float", "TF32": 1}
    at_once = 8 if halves else 4
    return {**types, "VA": at_once, "VB": 1 if tile is tiles.NARROW else at_once, "STAGES": stages,
            "BK": deep * (1 + halves), "A_ALONG_K": along[0], "B_ALONG_K": along[1], **tile._asdict()}


def find_disassembler():
    """nvdisasm: on PATH, in a CUDA toolkit, or in the package triton, which brings one; None."""
    folders = [Path(os.environ[name]) / "bin" for name in ("CUDA_HOME", "CUDA_PATH") if name in os.environ]
    folders.append(Path("/usr/local/cuda/bin"))
    if (triton := find_spec("triton")) is not None and triton.origin:
        folders.append(Path(triton.origin).parent / "backends/nvidia/bin")
    return shutil.which("nvdisasm") or next((str(f / "nvdisasm") for f in folders if (f / "nvdisasm").exists()), None)


@pytest.fixture
def loops(tmp_path):
    """loops(sm, [macros]): a Loop for each."""
    disassembler = find_disassembler()
    if shutil.which("nvcc") is None or disassembler is None:
        pytest.skip("counting instructions needs nvcc and nvdisasm (CUDA toolkit; pip install triton has nvdisasm)")

    def loops(sm, cases):
        source, cubin = tmp_path / "kernel.cu", tmp_path / "kernel.cubin"
        source.write_text(program([("conv.cu", macros) for macros in cases]))
        target = f"arch=compute_{min(sm, 80)},code=sm_{sm}"
        done = subprocess.run(["nvcc", *OPTIONS, "-gencode", target, "-Xptxas", "-v", "-cubin", "-o", str(cubin),
                               str(source)], capture_output=True, text=True, check=True)
        registers = dict(re.findall(r"function '_ZN\d+conv_(\d+)_\S*4gemm\S*'.*?Used (\d+) registers", done.stderr,
                                    re.DOTALL))
        text = subprocess.run([disassembler, "-c", str(cubin)], capture_output=True, text=True, check=True).stdout
        found = {}
        for section in re.split(r"\.section\s+\.text\.", text)[1:]:
            if match := re.match(r"_ZN\d+conv_(\d+)_\S*4gemm", section):
                found[match[1]] = loop_of(section, int(registers[match[1]]))
        return [found[str(number)] for number in range(len(cases))]

    return loops


def loop_of(section, registers):
    """The Loop of a kernel's text."""
    places, instructions = {}, []
    for line in section.splitlines():
        if match := re.match(r"\s*(\.L_x_\d+):", line):
            places[match[1]] = len(instructions)
        elif match := re.match(r"\s+/\*[0-9a-f]+\*/\s+(.*?);", line):
            instructions.append(match[1])
    backward = [(places[match[1]], end + 1) for end, text in enumerate(instructions)
                if (match := re.search(r"\bBRA\b.*`\((\.L_x_\d+)\)", text)) and places.get(match[1], end + 1) <= end]
    counts = [(end - start, sum("HMMA" in text for text in instructions[start:end])) for start, end in backward]
    size, products = min((size, products) for size, products in counts if products)
    local = sum(bool(re.search(r"\b(LDL|STL)\b", text)) for text in instructions)
    return Loop(size, products, registers, local)


@pytest.mark.long
@pytest.mark.parametrize("sm, kind", MOST, ids=lambda part: str(part))
def test_instructions_of_the_main_loop(loops, sm, kind):
    layouts = MOST[sm, kind]
    found = loops(sm, [macros_of(tiles.TILES[0], along, CARDS[sm], kind) for along in layouts])
    for (along, most), loop in zip(layouts.items(), found, strict=True):
        assert loop.products in (64, 128)  # of a warp's 64 x 64 numbers, a step of the depth
        assert loop.instructions / loop.products <= most, (along, loop)


@pytest.mark.long
@pytest.mark.parametrize("sm", CARDS)
def test_two_blocks_fit_on_a_multiprocessor_and_nothing_is_spilled(loops, sm):
    cases = [macros_of(tile, along, CARDS[sm], kind) for kind in ("TF32", "bf16") for tile in TILES[:2]
             for along in (FORWARD, DATA, WEIGHTS)]
    for macros, loop in zip(cases, loops(sm, cases), strict=True):
        assert loop.local == 0, macros
        assert -(-loop.registers // 8) * 8 * macros["THREADS"] * 2 <= 65536, (macros, loop)


@pytest.mark.parametrize("limits", [A100, RTX, H100], ids=["A100", "RTX", "H100"])
@pytest.mark.parametrize("tile", TILES, ids=lambda tile: f"{tile.BM}x{tile.BN}")
def test_no_block_asks_for_more_shared_memory_than_its_card_has(limits, tile):
    """With the corners of its rows; and two blocks fit, unless moments need room for the whole of a block's result."""
    for along in (FORWARD, DATA, WEIGHTS, (0, 1)):
        for kind in ("TF32", "bf16"):
            macros = macros_of(tile, along, limits, kind)
            size = 2 if kind == "bf16" else 4
            block = tiles.shared_bytes(macros, size) + tiles.CORNERS * tile.BM + RESERVED
            whole = tiles.shared_bytes({**macros, "MOMENTS": 1}, size) + tiles.CORNERS * tile.BM
            assert macros["STAGES"] >= 2 and whole <= limits.shared_by_block and 2 * block <= limits.shared


def test_a_loop_is_found_in_machine_code():
    text = """
        /*0000*/                   MOV R1, c[0x0][0x28] ;
.L_x_1:
        /*0010*/                   STL [R1], R5 ;
.L_x_2:
        /*0020*/                   LDSM.16.M88.4 R4, [R3] ;
        /*0030*/                   HMMA.1688.F32.TF32 R8, R4, R12, R8 ;
        /*0040*/               @P0 BRA `(.L_x_2) ;
        /*0050*/               @P1 BRA `(.L_x_1) ;
.L_x_3:
        /*0060*/                   BRA `(.L_x_3);
"""
    assert loop_of(text, 40) == Loop(instructions=3, products=1, registers=40, local=1)
