"""What the file name of an emoji, its code points, says about it: its group, and which pictures are almost the same.

A code is a file name of OpenMoji: code points in hexadecimal, joined by hyphens, such as 1F469-1F3FD-200D-1F680, a
woman astronaut with medium skin tone.

Groups   as in Unicode's emoji-test.txt (version 17) and in OpenMoji's own table; a sequence is in the group of its
         first code point, with two exceptions. Flags that only OpenMoji has are in "flags", too.
"""

from __future__ import annotations

import hashlib
import re

SKIN = {"1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF"}
_MINOR = {*SKIN, "FE0F", "200D", "2640", "2642", "27A1"}  # skin tones, colour, joiner, woman, man, to the right
_PERSON = {"1F468": "1F9D1", "1F469": "1F9D1"}  # man and woman to person
_SAME = {  # what is left after `family` has removed the above: another code of the same picture
    "1F46B": "1F9D1-1F91D-1F9D1", "1F46C": "1F9D1-1F91D-1F9D1", "1F46D": "1F9D1-1F91D-1F9D1",  # holding hands
    "1F9D1-1F430-1F9D1": "1F46F", "1F9D1-1FAEF-1F9D1": "1F93C", "1FAF1-1FAF2": "1F91D",  # ears, wrestlers, handshake
    "1F9D1-2764-1F48B-1F9D1": "1F48F", "1F9D1-2764-1F9D1": "1F491", "1F9D1-1F9D1-1F466": "1F46A",  # kiss, love, family
    "1F1ED-1F1F2": "1F1E6-1F1FA", "1F1E8-1F1F5": "1F1EB-1F1F7", "1F1F2-1F1EB": "1F1EB-1F1F7",  # countries of one flag
    "1F1EA-1F1E6": "1F1EA-1F1F8", "1F1F2-1F1E8": "1F1EE-1F1E9", "1F1F8-1F1EF": "1F1F3-1F1F4",
    "1F1F9-1F1E9": "1F1F7-1F1F4", "1F3F3-2B1C": "25AD", "20E3": "1F7E6"}
_TABLE = """
smileys-emotion 2620 2639-263A 2763-2764 1F479-1F47B 1F47D-1F480 1F48B-1F48C 1F493-1F49F 1F4A2 1F4A4-1F4A6 1F4A8-1F4A9
  1F4AB-1F4AD 1F4AF 1F573 1F5A4 1F5E8-1F5EF 1F600-1F644 1F648-1F64A 1F90D-1F90E 1F910-1F917 1F920-1F925 1F927-1F92F
  1F970-1F976 1F978-1F97A 1F9D0 1F9E1 1FA75-1FA77 1FAE0-1FAE5 1FAE8-1FAEF
people-body 261D 26F7 26F9 270A-270D 1F385 1F3C2-1F3C4 1F3C7 1F3CA-1F3CC 1F440-1F450 1F463-1F478 1F47C 1F481-1F483
  1F485-1F487 1F48F 1F491 1F4AA 1F574-1F575 1F57A 1F590-1F596 1F5E3 1F645-1F647 1F64B-1F64F 1F6A3 1F6B4-1F6B6 1F6C0
  1F6CC 1F90C 1F90F 1F918-1F91F 1F926 1F930-1F93E 1F977 1F9B4-1F9B9 1F9BB 1F9BE-1F9BF 1F9CC-1F9CF 1F9D1-1F9E0
  1FAC0-1FAC8 1FAE6 1FAF0-1FAF8
animals-nature 2618 1F331-1F335 1F337-1F33C 1F33E-1F344 1F3F5 1F400-1F43F 1F490 1F4AE 1F54A 1F577-1F578 1F940
  1F980-1F9AE 1FAB0-1FAB4 1FAB6-1FABF 1FACD-1FACF
food-drink 2615 1F32D-1F330 1F336 1F33D 1F345-1F37F 1F382 1F3FA 1F52A 1F942-1F944 1F950-1F96F 1F9C0-1F9CB 1FAD0-1FADC
travel-places 231A-231B 23F0-23F3 2600-2604 2614 2668 2693 26A1 26C4-26C8 26E9-26F2 26F4-26F5 26FA-26FD 2708 2744 2B50
  1F300-1F32C 1F3A0-1F3A2 1F3AA 1F3CD-1F3CE 1F3D4-1F3E6 1F3E8-1F3ED 1F3EF-1F3F0 1F488 1F492 1F4A7 1F4BA 1F525
  1F54B-1F54D 1F550-1F567 1F570 1F5FA-1F5FE 1F680-1F6A2 1F6A4-1F6A8 1F6B2 1F6CE 1F6D1 1F6D5-1F6D6 1F6D8 1F6DD-1F6DF
  1F6E2-1F6F6 1F6F8-1F6FC 1F9BC-1F9BD 1F9ED 1F9F1 1F9F3 1FA82 1FA90 1FAA8 1FAB5
activities 265F-2666 26BD-26BE 26F3 26F8 2728 1F004-1F0CF 1F380-1F381 1F383-1F384 1F386-1F38B 1F38D-1F391 1F396-1F397
  1F39F 1F3A3 1F3A8 1F3AB 1F3AD-1F3B4 1F3BD-1F3C0 1F3C5-1F3C6 1F3C8-1F3C9 1F3CF-1F3D3 1F3F8 1F52B 1F52E 1F579 1F5BC
  1F6F7 1F93F 1F945-1F94F 1F9E7-1F9E9 1F9F5-1F9F6 1F9F8 1FA80-1FA81 1FA84-1FA86 1FAA1-1FAA2 1FAA9
objects 2328 260E 2692 2694 2696-2699 26B0-26B1 26CF-26D3 2702 2709 270F-2712 1F392-1F393 1F399-1F39E 1F3A4-1F3A5
  1F3A7 1F3A9 1F3AC 1F3B5-1F3BC 1F3EE 1F3F7 1F3F9 1F451-1F462 1F484 1F489-1F48A 1F48D-1F48E 1F4A1 1F4A3 1F4B0
  1F4B3-1F4B9 1F4BB-1F4DA 1F4DC-1F4F2 1F4F7-1F4FF 1F507-1F517 1F526-1F529 1F52C-1F52D 1F56F 1F576 1F587-1F58D
  1F5A5-1F5B2 1F5C2-1F5E1 1F5F3 1F5FF 1F6AA 1F6AC 1F6BD 1F6BF 1F6C1 1F6CB 1F6CD 1F6CF 1F6D2 1F6D7 1F6E0-1F6E1 1F941
  1F97B-1F97F 1F9AF 1F9BA 1F9E2-1F9E6 1F9EA-1F9EC 1F9EE-1F9F0 1F9F2 1F9F4 1F9F7 1F9F9-1FA74 1FA78-1FA7C 1FA83
  1FA87-1FA8F 1FA91-1FAA0 1FAA3-1FAA7 1FAAA-1FAAE 1FAE7
symbols 0023-002A 0030-2049 2122-21AA 23CF-23EF 23F8-23FA 24C2 25AA-25AB 25B6-25C0 25FB-25FE 2611 2622-2638 2640-2653
  267B-267F 2695 269B-26A0 26A7-26AB 26CE 26D4 2705 2714-2721 2733-2734 2747-2757 2795-2B07 2B1B-2B1C 2B55 3030-3299
  1F170-1F19A 1F201-1F251 1F3A6 1F3E7 1F4A0 1F4B1-1F4B2 1F4DB 1F4F3-1F4F6 1F500-1F506 1F518-1F524 1F52F-1F549 1F54E
  1F6AB 1F6AD-1F6B1 1F6B3 1F6B7-1F6BC 1F6BE 1F6C2-1F6C5 1F6D0 1F6DC 1F7E0-1F7F0 1FAAF 1FADF
flags 1F38C 1F3C1 1F3F3-1F3F4 1F6A9 E420-E435
component 1F3FB-1F3FF 1F9B0-1F9B3
"""
_EXCEPTIONS = {"1F344-200D-1F7EB": "food-drink", "1F441-FE0F-200D-1F5E8-FE0F": "smileys-emotion"}  # mushroom, eye
_RUNS = [(int(first, 16), int(last or first, 16), name)
         for name, ranges in (line.split(" ", 1) for line in re.sub(r"\n +", " ", _TABLE).split("\n") if line)
         for first, _, last in (part.partition("-") for part in ranges.split())]
_SUBGROUPS = {  # parts of two groups whose shapes have little in common
    "animals": "1F400-1F43D 1F43F 1F54A 1F577 1F980-1F9AE 1FAB0-1FAB3 1FABC 1FABF 1FACD-1FACF",
    "vehicles": "26F4-26F5 2708 1F3CD-1F3CE 1F680-1F68E 1F690-1F6A2 1F6A4 1F6B2 1F6E5 1F6E9 1F6EB-1F6EC 1F6F0 "
                "1F6F3-1F6F6 1F6F8-1F6FC 1F9BC-1F9BD 1FA82"}
SUBGROUPS = tuple(_SUBGROUPS)
GROUPS = ("smileys-emotion", "people-body", "animals-nature", "food-drink", "travel-places", "activities", "objects",
          "symbols", "flags", "component", "extras-openmoji", "extras-unicode")


def group(code: str) -> str:
    """The name of a code's group, one of GROUPS.

    >>> group("1F436"), group("1F1EB-1F1F7"), group("E042"), group("2605")
    ('animals-nature', 'flags', 'extras-openmoji', 'extras-unicode')
    """
    first = int(code.partition("-")[0], 16)
    if code in _EXCEPTIONS:
        return _EXCEPTIONS[code]
    if 0x1F1E6 <= first <= 0x1F1FF:  # two letters make a flag
        return "flags" if "-" in code else "extras-unicode"
    name = next((name for low, high, name in _RUNS if low <= first <= high), None)
    return name or ("extras-openmoji" if 0xE000 <= first <= 0xF8FF else "extras-unicode")


def in_subgroup(code: str, name: str) -> bool:
    """Whether a picture belongs to a part of a group, one of SUBGROUPS, by its first code point.

    >>> in_subgroup("1F436", "animals"), in_subgroup("1F333", "animals"), in_subgroup("1F697", "vehicles")
    (True, False, True)
    """
    ranges = (part.partition("-") for part in _SUBGROUPS[name].split())
    return any(int(low, 16) <= int(code.partition("-")[0], 16) <= int(high or low, 16) for low, _, high in ranges)


def is_variant(code: str) -> bool:
    """Whether a code is another one with a skin tone; a skin tone alone is a picture of its own."""
    points = code.split("-")
    return len(points) > 1 and not SKIN.isdisjoint(points)


def family(code: str) -> str:
    """The same for all codes whose pictures are alike: of any skin tone and gender, and mirrored.

    Many pictures of a man are those of a person, pixel for pixel, and so are the flags of some territories.

    >>> family("1F469-1F3FD-200D-1F680") == family("1F9D1-200D-1F680"), family("2640")
    (True, '2640')
    """
    points = [_PERSON.get(point, point) for point in code.split("-") if point not in _MINOR]
    key = "-".join(points) or code
    return _SAME.get(key, key)


def is_test(code: str) -> bool:
    """Whether a picture is in the test part: about one family of ten, by a hash, so for ever."""
    return hashlib.sha256(family(code).encode()).digest()[0] % 10 == 0


def share(code: str, shares: int) -> int:
    """In which of equal shares a picture is, by a hash of its family; another one than `is_test`'s."""
    return hashlib.sha256(family(code).encode()).digest()[1] % shares
