"""``ring lookup`` through the real command."""

from command_line import Run
from shardhash import HashRing

RING = HashRing({"a": 1, "b": 2, "c": 1})


def test_lookup_prints_key_and_node(run: Run) -> None:
    ended = run("ring", "lookup", "--nodes", "a,b=2,c", "user:1", "user:2")

    assert ended.exit_code == 0
    assert ended.stdout.splitlines() == [
        f"{key}\t{RING.lookup(key)}" for key in ("user:1", "user:2")
    ]


def test_dash_reads_one_key_a_line(run: Run) -> None:
    keys = [f"user:{number}" for number in range(20_000)]

    ended = run("ring", "lookup", "--nodes", "a,b=2,c", "-", stdin="\n".join(keys))

    assert ended.stdout.splitlines() == [f"{key}\t{RING.lookup(key)}" for key in keys]


def test_replicas_are_in_ring_order(run: Run) -> None:
    ended = run("ring", "lookup", "--nodes", "a,b=2,c", "--replicas", "3", "user:1")

    assert ended.stdout.rstrip().split("\t") == ["user:1", *RING.lookup_n("user:1", 3)]


def test_the_scheme_places_as_others_do(run: Run) -> None:
    nodes = "127.0.0.1:11211=600,127.0.0.1:11212=400"

    ended = run("ring", "lookup", "--scheme", "ketama", "--nodes", nodes, "test", "2", "hello")

    assert ended.stdout.split() == [
        *("test", "127.0.0.1:11211", "2", "127.0.0.1:11212", "hello", "127.0.0.1:11211")
    ]


def test_json_names_nodes_and_weights(run: Run) -> None:
    data = run("ring", "lookup", "--nodes", "a,b=2,c", "user:1", "--json").envelope["data"]

    assert data == {
        "scheme": "xxh64",
        "nodes": {"a": 1.0, "b": 2.0, "c": 1.0},
        "keys": [{"key": "user:1", "nodes": [RING.lookup("user:1")]}],
    }


def test_bad_nodes_are_usage_errors(run: Run) -> None:
    for nodes in ("a,,b", "a,a", "a=x", "a=-1", "a=nan", ""):
        ended = run("ring", "lookup", "--nodes", nodes, "user:1")

        assert ended.exit_code == 2, nodes
        assert "  next: " in ended.stderr


def test_control_characters_do_not_reach_the_terminal(run: Run) -> None:
    ended = run("ring", "lookup", "--nodes", "a", "x\x1b[2J")

    assert ended.stdout == "x\\x1b[2J\ta\n"
