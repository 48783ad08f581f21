"""``config validate`` on a file with many mistakes: each is told, with its line."""

import re

from command_line import Run, Shop

TWELVE_MISTAKES = """\
format: 1
app: shop
instancez: {}
instances:
  disk: {url: "sqlite:///./shards"}
  east: {url: "mysql://ops@10.0.0.5:nonsense"}
  west: {url: "mysql://ops@10.0.0.6", password: "${WEST_PASSWORD}"}
  north: {url: "mysql://ops@10.0.0.7", password: "hunter2-Xq"}
  south: {url: "mysql://ops@10.0.0.8", tls: sometimes}
shards:
  s1: {instance: disk, database: shop_1}
  s2: {instance: dusk, database: shop_2}
  s2: {instance: disk, database: shop_3}
mappings:
  by_store:
    key: {column: store_id, type: int}
    tables: [orders]
    slots: {count: 16, owners: {s1: "0-7", s2: "7-15"}}
  by_user:
    key: {column: user_id, type: int}
    tables: [users]
    slots: {count: 16, owners: {s1: "0-7", s2: "9-15"}}
  by_day:
    key: {column: day, type: date}
    tables: [orders]
    ranges: {bounds: [2026-02-01, 2026-01-01], shards: [s1, s2, s1]}
  by_token:
    key: {column: token, type: bytes}
    tables: [tokens]
    ring: {nodes: {s1: 1, s9: 2}}
"""

LINES = {
    3: "unknown key",
    6: "the port must be a number",
    7: "WEST_PASSWORD is not set",
    8: "other users can read",
    9: "must be one of disabled",
    12: "no such instance",
    13: "twice",
    18: "belong to s1 too",
    22: "no shard owns the slots 8",
    25: "already",
    26: "must ascend",
    30: "no such shard",
}
"""The line of each of the twelve mistakes, and words of what is told there."""


def test_twelve_mistakes_are_told_with_twelve_lines(run: Run, shop: Shop) -> None:
    path = shop.directory / "shardhash.yaml"
    path.write_text(TWELVE_MISTAKES)
    path.chmod(0o644)

    ended = run("config", "validate")

    found = dict(re.findall(r"shardhash\.yaml:(\d+):\d+: (.*)", ended.stderr))
    assert ended.exit_code == 3
    assert list(map(int, found)) == list(LINES)
    for line, words in LINES.items():
        assert words in found[str(line)]


def test_no_mistake_repeats_a_password(run: Run, shop: Shop) -> None:
    (shop.directory / "shardhash.yaml").write_text(TWELVE_MISTAKES)

    ended = run("config", "validate", "--json")

    assert "hunter2" not in ended.stdout + ended.stderr
