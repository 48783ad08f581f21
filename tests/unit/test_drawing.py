"""What notebooks show of a placement."""

import subprocess
import sys
from datetime import date
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given

from reference.ring import KEY_SPACE, HashRingTwin
from shardhash import HashRing, Placement, RangeMap, SlotMap
from strategies import names, weighted

SVG = "{http://www.w3.org/2000/svg}"


def parsed(placement: Placement) -> ET.Element:
    return ET.fromstring(placement._repr_html_())


def texts(drawing: ET.Element) -> list[str]:
    return [element.text or "" for element in drawing.iter(f"{SVG}text")]


def bars(drawing: ET.Element) -> dict[str, float]:
    """The width of each bar by the text that a pointer on it shows."""
    return {
        box.find(f"{SVG}title").text: float(box.get("width")) for box in drawing.iter(f"{SVG}rect")
    }


def test_a_ring_shows_each_nodes_part_of_the_positions() -> None:
    nodes = {"a": 1.0, "b": 2.0, "c": 0.5}
    twin = HashRingTwin(nodes, 4)
    edges = [point for point, _ in twin.points]
    sizes = [point - before for before, point in pairwise([edges[-1] - KEY_SPACE, *edges])]
    shares = dict.fromkeys(nodes, 0.0)
    for (_, name), size in zip(twin.points, sizes, strict=True):
        shares[name.decode()] += size / KEY_SPACE

    drawing = parsed(HashRing(nodes, points_per_weight=4))

    assert sum(shares.values()) == 1.0
    assert [f"{name}: {share:.1%} of the positions" for name, share in shares.items()] == list(
        bars(drawing)
    )
    assert max(bars(drawing).values()) == 240.0


def test_a_slot_map_shows_its_slots_in_their_order_and_its_shards() -> None:
    drawing = parsed(SlotMap({"s1": "0-3,8-11", "s2": "4-7,12-15", "none": ""}))

    assert bars(drawing) == {
        "slots 0-3: s1": 140.0,
        "slots 4-7: s2": 140.0,
        "slots 8-11: s1": 140.0,
        "slots 12-15: s2": 140.0,
        "s1: 8 slots, 50.0%": 240.0,
        "s2: 8 slots, 50.0%": 240.0,
        "none: 0 slots, 0.0%": 0.0,
    }


def test_a_range_map_shows_its_ranges_in_their_order_and_its_shards() -> None:
    bounds = [date(2026, 1, 1), date(2026, 6, 1)]

    drawing = parsed(RangeMap(bounds, ["s1", "s2", "s1"], key_type=date))

    assert list(bars(drawing)) == [
        "[, datetime.date(2026, 1, 1)): s1",
        "[datetime.date(2026, 1, 1), datetime.date(2026, 6, 1)): s2",
        "[datetime.date(2026, 6, 1), ): s1",
        "s1: 2 ranges",
        "s2: 1 range",
    ]


@pytest.mark.parametrize(
    "placement",
    [HashRing([]), HashRing(["a"]), SlotMap(["a"]), RangeMap([], ["a"], key_type=int)],
    ids=repr,
)
def test_the_smallest_placements_have_a_drawing_with_their_repr(placement: Placement) -> None:
    assert texts(parsed(placement))[0] == repr(placement)[1:-1]


def test_of_many_owners_the_largest_are_drawn() -> None:
    nodes = {f"n{i}": 1.0 + i for i in range(50)}

    drawing = parsed(HashRing(nodes))

    assert len(bars(drawing)) == 20
    assert texts(drawing)[-1] == "and 30 more with less"
    assert len(HashRing(nodes)._repr_html_()) < 10_000


def test_too_many_pieces_are_left_out() -> None:
    drawing = parsed(SlotMap(["a", "b"] * 1024))

    assert list(bars(drawing)) == ["a: 1,024 slots, 50.0%", "b: 1,024 slots, 50.0%"]


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "\"><img src=x onerror='1'>", "&amp;", "a\0b\x1b\u202e"]
)
def test_a_name_is_text_whatever_it_contains(name: str) -> None:
    shown = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in name
    )

    for placement in (HashRing([name]), SlotMap([name]), RangeMap([], [name], key_type=str)):
        drawing = parsed(placement)

        assert {element.tag for element in drawing.iter()} <= {
            SVG + tag for tag in ("svg", "text", "rect", "title")
        }
        assert any(text.startswith(f"{shown}: ") for text in bars(drawing))


@given(weighted(), names)
def test_equal_rings_have_equal_drawings_that_are_well_formed(
    nodes: dict[str, float], name: str
) -> None:
    ring = HashRing({**nodes, name: 1.0}, points_per_weight=3)

    assert ring._repr_html_() == HashRing(dict(ring.weights), points_per_weight=3)._repr_html_()
    assert len(bars(parsed(ring))) == len(ring)


def test_drawing_is_loaded_when_something_is_drawn() -> None:
    program = """
import sys
from shardhash import HashRing
ring = HashRing(["a"])
ring.lookup("k")
before = "shardhash._drawing" in sys.modules
ring._repr_html_()
print(before, "shardhash._drawing" in sys.modules)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert ended.stdout.split() == ["False", "True"]
