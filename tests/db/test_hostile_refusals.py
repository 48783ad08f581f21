"""What cannot be kept exactly is refused while it is planned, with the reason and what to do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from hostile_schemas import KEYS, OTHER_KEYS, Case, keyed
from hostile_servers import Cluster, fill, session
from server_software import mariadb_only
from servers import MariaDB, MySQLFleet
from shardhash.errors import PreflightError

HERE, THERE = KEYS[0], OTHER_KEYS[0]
PLAIN = "CREATE TABLE {} (id INT PRIMARY KEY, k INT, c INT) ENGINE=InnoDB"
ROWS = f"INSERT INTO {{}} VALUES (1, {HERE}, 1), (2, {THERE}, 2)"


@dataclass(frozen=True)
class Refused:
    """Tables, what is planned of them, and the words of its refusal."""

    tables: dict[str, Sequence[str]]
    words: str
    does: str = "adopt"
    key_type: str = "int"
    mapped: tuple[str, ...] = ("t",)


def table(text: str, *more: str, does: str = "adopt", words: str, **options: object) -> Refused:
    return Refused({"t": [f"CREATE TABLE {{}} {text}", *more]}, words, does, **options)  # type: ignore[arg-type]


OF_MARIADB = {
    "versioned": "system versioning",
    "sequence": "sequences",
    "Aria": "Aria",
    "own database": "sequences",
    "view on own database": "names of a view's own database in its text",
}
REFUSED = {
    "no primary key": table("(k INT)", words="t cannot be adopted: it has no primary key"),
    "view": Refused({"u": [PLAIN], "t": ["CREATE VIEW {} AS SELECT * FROM u"]}, "it is a view"),
    "versioned": table(
        "(id INT PRIMARY KEY, k INT) WITH SYSTEM VERSIONING", words="it is a system versioned"
    ),
    "sequence": Refused({"t": ["CREATE SEQUENCE {}"]}, "it is a sequence"),
    **{
        engine: table(f"(id INT PRIMARY KEY, k INT) ENGINE={engine}", words="no transactions")
        for engine in ("MyISAM", "Aria", "MEMORY")
    },
    "float": table("(id FLOAT PRIMARY KEY, k INT)", words="equal numbers of that type"),
    "timestamp key": table(
        "(id INT PRIMARY KEY, k TIMESTAMP)", words="depends on the session's time zone",
        key_type="str",
    ),
    "double key": table("(id INT PRIMARY KEY, k DOUBLE)", words="no exact text"),
    "text for int": table("(id INT PRIMARY KEY, k VARCHAR(9))", words="client and server would"),
    "set key": table("(id INT PRIMARY KEY, k SET('a'))", words="client and", key_type="str"),
    "names": Refused({"a`b": [PLAIN]}, "rename the table", mapped=("a`b",)),
    "cascade": Refused(
        {"u": [PLAIN], "t": [("CREATE TABLE {} (id INT PRIMARY KEY, k INT, CONSTRAINT f "
                             "FOREIGN KEY (id) REFERENCES u (id) ON DELETE CASCADE)")]},
        "t cannot be guarded: its foreign key f says ON DELETE CASCADE",
    ),
    "cascading update": Refused(
        {"u": [PLAIN], "t": [("CREATE TABLE {} (id INT PRIMARY KEY, k INT, CONSTRAINT f "
                             "FOREIGN KEY (id) REFERENCES u (id) ON UPDATE CASCADE)")]},
        "ON UPDATE CASCADE, which changes rows without a trigger",
    ),
    "set null": Refused(
        {"t": [PLAIN], "u": [("CREATE TABLE {} (id INT PRIMARY KEY, k INT, CONSTRAINT f "
                             "FOREIGN KEY (k) REFERENCES t (id) ON DELETE SET NULL)")]},
        "foreign key f of u says ON DELETE SET NULL",
    ),
    "reference out": Refused(
        {"u": [PLAIN, ROWS],
         "t": ["CREATE TABLE {} (id INT PRIMARY KEY, k INT, FOREIGN KEY (id) REFERENCES u (id))"]},
        "which is no table of the mapping", does="split",
    ),
    "circle": Refused(
        {"t": [PLAIN], "u": [("CREATE TABLE {} (id INT PRIMARY KEY, k INT, FOREIGN KEY (id) "
                             "REFERENCES t (id))"),
                             "ALTER TABLE t ADD FOREIGN KEY (id) REFERENCES u (id)"]},
        "in a circle", does="split", mapped=("t", "u"),
    ),
    "torn tree": table(
        "(id INT PRIMARY KEY, k INT, up INT, CONSTRAINT up FOREIGN KEY (up) REFERENCES t (id))",
        f"INSERT INTO {{}} VALUES (1, {HERE}, 1), (2, {THERE}, 1), (3, {THERE}, 2)",
        words="1 rows refer by foreign key up to rows of another shard key", does="split",
    ),
    "torn pair": Refused(
        {"t": [PLAIN, ROWS],
         "u": [("CREATE TABLE {} (id INT PRIMARY KEY, k INT, CONSTRAINT fk FOREIGN KEY (id) "
               "REFERENCES t (id))"), f"INSERT INTO {{}} VALUES (1, {THERE}), (2, NULL)"]},
        "2 rows refer by foreign key fk", does="split", mapped=("t", "u"),
    ),
    "before insert": Refused(
        {"t": [PLAIN, "CREATE TRIGGER rewrites BEFORE INSERT ON t FOR EACH ROW SET NEW.c = 7"]},
        "on s1 trigger rewrites would take copied", does="split",
    ),
    "after delete": Refused(
        {"t": [PLAIN, "CREATE TRIGGER counts AFTER DELETE ON t FOR EACH ROW SET @x = 1"]},
        "DELETE fires counts",
    ),
    "before update": Refused(
        {"t": [PLAIN, "CREATE TRIGGER rewrites BEFORE UPDATE ON t FOR EACH ROW SET NEW.c = 7"]},
        "trigger rewrites of s1 is not on s2", does="split",
    ),
    "small counter": table(
        "(id INT AUTO_INCREMENT PRIMARY KEY, k INT)", words="too small for ids", does="split"
    ),
    **{
        f"error value, {does}": table(
            "(id INT PRIMARY KEY, k INT, e ENUM('a', ''), f ENUM('b'))",
            f"INSERT INTO {{}} VALUES (1, {THERE}, 'no', 'b'), (2, {THERE}, '', NULL), "
            f"(3, {HERE}, 'a', 'b')",
            words="1 rows hold the error value of ENUM e", does=does,
        )
        for does in ("split", "clone")
    },
    **{
        f"long row, {does}": table(
            "(id INT PRIMARY KEY, k INT, a MEDIUMBLOB)",
            f"INSERT INTO {{}} VALUES (1, {THERE}, REPEAT('x', 800000)), "
            f"(2, {THERE}, REPEAT(x'00', 800000)), (3, {HERE}, 'x')",
            words=r"1 rows are too long as an INSERT, 1\.5 MiB or more, and .* or here is 1 MiB",
            does=does,
        )
        for does in ("split", "clone")
    },
    **{
        f"own document ids, {does}": table(
            "(id INT PRIMARY KEY, k INT, c TEXT, FTS_DOC_ID BIGINT UNSIGNED NOT NULL, "
            "UNIQUE FTS_DOC_ID_INDEX (FTS_DOC_ID), FULLTEXT (c))",
            f"INSERT INTO {{}} VALUES (1, {THERE}, 'x', 1)",
            words="numbers its documents itself", does=does,
        )
        for does in ("split", "clone")
    },
    **{
        f"bytes by default, {does}": table(
            "(id INT PRIMARY KEY, k INT, a VARBINARY(9) DEFAULT '?', b BINARY(2) DEFAULT x'ff00')",
            words="a DEFAULT of a or b has bytes that are no text", does=does,
        )
        for does in ("split", "clone")
    },
    "orphans of a numbered table": Refused(
        {"p": [PLAIN],
         "t": [("CREATE TABLE {} (id VARCHAR(9) PRIMARY KEY, k INT, up INT, n INT AUTO_INCREMENT, "
               "KEY (n), CONSTRAINT up FOREIGN KEY (up) REFERENCES p (id))"),
               f"INSERT INTO {{}} VALUES ('a', {THERE}, 7, 1)"]},
        "1 rows refer by foreign key up to rows that are not there", does="split",
        mapped=("p", "t"),
    ),
    "own database": table(
        "(id INT PRIMARY KEY, k INT DEFAULT (NEXTVAL(s)))", words="names its own database",
        does="split",
    ),
    "view on own database": Refused(
        {"t": [PLAIN], "v": ["CREATE VIEW {} AS SELECT id FROM t"],
         "p": ["CREATE PROCEDURE {}() SELECT * FROM @@.t"]},
        "procedure p names its own database", does="clone",
    ),
    "clone of MyISAM": Refused(
        {"t": [PLAIN], "m": ["CREATE TABLE {} (id INT PRIMARY KEY) ENGINE=MyISAM"]},
        "m cannot be cloned: its engine has no transactions", does="clone",
    ),
    "clone without key": Refused(
        {"t": [PLAIN], "m": ["CREATE TABLE {} (id INT) ENGINE=InnoDB"]},
        "m cannot be cloned: it has no primary key", does="clone",
    ),
    "clone by floats": Refused(
        {"t": [PLAIN], "m": ["CREATE TABLE {} (id DOUBLE PRIMARY KEY) ENGINE=InnoDB"]},
        "m cannot be cloned: primary key column id is double", does="clone",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[mariadb_only(OF_MARIADB[name])] if name in OF_MARIADB else [])
        for name in REFUSED
    ],
)
def test_what_cannot_be_kept_is_refused_in_planning(hostile_fleet: MySQLFleet, name: str) -> None:
    asked = REFUSED[name]
    cluster = Cluster.start(hostile_fleet)
    database = hostile_fleet.database("s1")
    with session(hostile_fleet, "s1") as cursor:
        cursor.execute("CREATE SEQUENCE s" if name == "own database" else "DO 1")
    tables = {
        key: [text.replace("@@", database) for text in texts] for key, texts in asked.tables.items()
    }
    fill(hostile_fleet, "s1", Case(tables))
    case = Case({key: tables[key] for key in asked.mapped}, key_type=asked.key_type)
    if asked.does != "adopt":
        cluster.adopt(case)

    with cluster.operations() as operations:
        plans = {
            "adopt": lambda: cluster.plan_adopt(operations, case),
            "split": lambda: operations.plan_split("s1", "s2", instance="b", freeze=True),
            "clone": lambda: operations.plan_clone("s1", "s2", instance="b"),
        }
        with pytest.raises(PreflightError, match=asked.words) as refused:
            plans[asked.does]()
    assert refused.value.next_step or "rename" in asked.words


def test_rows_that_refer_to_no_row_are_not_moved_where_the_server_would_refuse_them(
    hostile_fleet: MySQLFleet,
) -> None:
    cluster = Cluster.start(hostile_fleet)
    child = "(id INT PRIMARY KEY, k INT, up INT, CONSTRAINT up FOREIGN KEY (up) REFERENCES p (id))"
    rows = f"INSERT INTO {{}} VALUES (1, {HERE}, 7), (2, {THERE}, 7), (3, {THERE}, NULL)"
    case = Case({"p": [PLAIN], "t": [f"CREATE TABLE {{}} {child}", rows]})
    fill(hostile_fleet, "s1", case)
    cluster.adopt(case)
    cluster.do("split", "s1", "s2", instance="b", freeze=True)

    with (
        cluster.operations() as operations,
        pytest.raises(PreflightError, match="1 rows refer by foreign key up to rows that are not"),
    ):
        operations.plan_move("s2", "s1", slots="8-15", freeze=True)


def test_guards_are_refused_where_a_cascade_came_since(hostile_fleet: MySQLFleet) -> None:
    cluster = Cluster.start(hostile_fleet)
    case = Case({"t": [PLAIN, ROWS]})
    fill(hostile_fleet, "s1", case)
    cluster.adopt(case)
    with session(hostile_fleet, "s1") as cursor:
        cursor.execute("CREATE TABLE u (id INT PRIMARY KEY)")
        cursor.execute("INSERT INTO u VALUES (1), (2)")
        cursor.execute(
            "ALTER TABLE t ADD CONSTRAINT up FOREIGN KEY (c) REFERENCES u (id) ON DELETE CASCADE"
        )

    with pytest.raises(PreflightError, match="t cannot be guarded"), cluster.operations() as found:
        found.plan_guard("by_k")


def test_a_target_without_room_is_refused(hostile_fleet: MySQLFleet) -> None:
    cluster = Cluster.start(hostile_fleet)
    case = Case({"t": [PLAIN, ROWS]})
    fill(hostile_fleet, "s1", case)
    cluster.adopt(case)

    with cluster.operations() as operations:
        with pytest.raises(PreflightError, match=r"s2 has room for 100 bytes, .* 8 KiB") as refused:
            operations.plan_split("s1", "s2", instance="b", freeze=True, target_free_bytes=100)
        assert "--target-free" in refused.value.next_step
        with pytest.raises(PreflightError, match=r"s2 has room for 9\.7 KiB"):
            operations.plan_clone("s1", "s2", instance="b", target_free_bytes=10_000)
        operations.plan_split("s1", "s2", instance="b", freeze=True, target_free_bytes=10_000)
        operations.plan_clone("s1", "s2", instance="b")


def test_no_shard_is_made_on_a_read_only_server(
    start_server: Callable[..., MariaDB], hostile_fleet: MySQLFleet
) -> None:
    replica = start_server()
    hostile_fleet.servers = {**hostile_fleet.servers, "c": replica}
    cluster = Cluster.start(hostile_fleet)
    case = Case({"t": [PLAIN, ROWS]})
    fill(hostile_fleet, "s1", case)
    cluster.adopt(case)
    with cluster.operations() as operations:
        early = operations.plan_clone("s1", "s2", instance="c")
        replica.sql("SET GLOBAL read_only = 1")
        for plan in (
            lambda: operations.plan_split("s1", "s2", instance="c", freeze=True),
            lambda: operations.plan_allocate("s2", instance="c", mapping="by_k"),
            lambda: operations.plan_clone("s1", "s2", instance="c"),
            lambda: operations.apply(early),
        ):
            with pytest.raises(PreflightError, match="the server of instance c is read-only"):
                plan()

    assert not [name for (name,) in replica.sql("SHOW DATABASES") if name.endswith("s2")]


def test_names_that_a_server_would_make_lower_case_are_refused(
    start_server: Callable[..., MariaDB], hostile_fleet: MySQLFleet
) -> None:
    hostile_fleet.servers = {
        **hostile_fleet.servers,
        "c": start_server("--lower-case-table-names=1"),
    }
    cluster = Cluster.start(hostile_fleet)
    case = Case({"Orders": keyed("id INT PRIMARY KEY", ["1", "2"])})
    fill(hostile_fleet, "s1", case)
    cluster.adopt(case)

    with cluster.operations() as operations:
        with pytest.raises(PreflightError, match="so Orders would have another name there"):
            operations.plan_split("s1", "s2", instance="c", freeze=True)
        with pytest.raises(PreflightError, match="lower_case_table_names"):
            operations.plan_clone("s1", "s2", instance="c")
        operations.plan_clone("s1", "s2", instance="b")


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ("(id INT) ENGINE=InnoDB", "g cannot be copied: it has no primary key"),
        ("(id INT PRIMARY KEY) ENGINE=MyISAM", "g cannot be copied: its engine"),
        ("(id INT PRIMARY KEY, e ENUM('a')) ENGINE=InnoDB", "g cannot be copied: 1 rows hold"),
    ],
)
def test_global_tables_that_could_not_be_copied_are_refused(
    hostile_fleet: MySQLFleet, definition: str, words: str
) -> None:
    cluster = Cluster.start(hostile_fleet)
    case = Case({"t": [PLAIN, ROWS]})
    value = ", 'no'" if "ENUM" in definition else ""
    more = {"g": [f"CREATE TABLE {{}} {definition}", f"INSERT INTO {{}} VALUES (1{value})"]}
    fill(hostile_fleet, "s1", Case(case.tables, more=more))
    cluster.adopt(case, global_tables=["g"])

    with cluster.operations() as operations, pytest.raises(PreflightError, match=words):
        operations.plan_split("s1", "s2", instance="b", freeze=True)
    with cluster.operations() as operations, pytest.raises(PreflightError, match=words):
        operations.plan_allocate("s2", instance="b", mapping="by_k")


def test_rows_that_their_own_server_cannot_write_down_are_refused(
    start_server: Callable[..., MariaDB], hostile_fleet: MySQLFleet
) -> None:
    wide = start_server("--max-allowed-packet=64M")
    hostile_fleet.servers = {**hostile_fleet.servers, "c": wide}
    cluster = Cluster.start(hostile_fleet)
    insert = f"INSERT INTO {{}} VALUES (1, {THERE}, REPEAT('x', 900000)), (2, {HERE}, '')"
    case = Case({"t": ["CREATE TABLE {} (id INT PRIMARY KEY, k INT, a MEDIUMBLOB)", insert]})
    fill(hostile_fleet, "s1", case)
    cluster.adopt(case)
    [(packet,)] = hostile_fleet.sql("s1", "SELECT @@GLOBAL.max_allowed_packet")
    hostile_fleet.sql("s1", "SET GLOBAL max_allowed_packet = 700000")

    try:
        with (
            cluster.operations() as found,
            pytest.raises(PreflightError, match=r"878\.9 KiB or more"),
        ):
            found.plan_split("s1", "s2", instance="c", freeze=True)
    finally:
        hostile_fleet.sql("s1", f"SET GLOBAL max_allowed_packet = {packet}")


def test_a_clone_elsewhere_of_what_refers_to_another_database_is_refused(
    hostile_fleet: MySQLFleet,
) -> None:
    cluster = Cluster.start(hostile_fleet)
    other = hostile_fleet.add("other", instance="a")
    fill(hostile_fleet, "other", Case({"p": [PLAIN]}))
    reference = f"FOREIGN KEY (id) REFERENCES `{other}`.p (id)"
    fill(hostile_fleet, "s1", Case({"t": [f"CREATE TABLE {{}} (id INT PRIMARY KEY, {reference})"]}))

    with cluster.operations() as operations:
        with pytest.raises(PreflightError, match=f"refers to {other}.p, which is not there"):
            operations.plan_clone("s1", "s2", instance="b")
        operations.plan_clone("s1", "s2", instance="a")


def test_unique_values_that_the_target_has_are_refused(hostile_fleet: MySQLFleet) -> None:
    cluster = Cluster.start(hostile_fleet)
    definition = (
        "(id INT PRIMARY KEY, k INT, a VARCHAR(9) COLLATE utf8mb4_general_ci, "
        "e ENUM('1', '2', '3'), b BIT(40), UNIQUE one (a), UNIQUE two (e, b))"
    )
    values = ["'Foo', 1, 5", "NULL, 2, 5", "'bar', 3, 1"]
    rows = [
        f"INSERT INTO {{}} VALUES ({number}, {key}, {value})"
        for number, (key, value) in enumerate(zip(OTHER_KEYS, values, strict=False))
    ]
    case = Case({"t": [f"CREATE TABLE {{}} {definition}", *rows]})
    fill(hostile_fleet, "s1", case)
    cluster.adopt(case)
    cluster.do("split", "s1", "s2", instance="b", freeze=True)

    def plan() -> None:
        with cluster.operations() as operations:
            operations.plan_move("s2", "s1", slots="8-15", freeze=True)

    with session(hostile_fleet, "s1") as cursor:
        cursor.execute(
            f"INSERT INTO t VALUES (70, {KEYS[0]}, NULL, 3, 5), (71, {KEYS[1]}, 'x', 1, 1)"
        )
        plan()
        cursor.execute("UPDATE t SET a = 'FOO ' WHERE id = 70")
        with pytest.raises(PreflightError, match="1 rows of t hold a value of unique key one"):
            plan()
        cursor.execute("UPDATE t SET a = NULL, e = 2 WHERE id = 70")
        with pytest.raises(PreflightError, match="1 rows of t hold a value of unique key two"):
            plan()
