"""Hostile tables and their rows, as SQL: types, charsets, keys, indexes and names of MariaDB."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from server_software import is_mysql, no_pad_binary

SLOTS = 16
KEYS = [key for key in range(400) if zlib.crc32(b"%d" % key) % SLOTS < 8]
OTHER_KEYS = [key for key in range(400) if zlib.crc32(b"%d" % key) % SLOTS >= 8]


@dataclass(frozen=True)
class Case:
    """Tables by their names, each as its definition and the INSERTs that fill it.

    `key` is the column of the shard key in every table; `more` are tables of no mapping.
    """

    tables: Mapping[str, Sequence[str]]
    key: str = "k"
    key_type: str = "int"
    more: Mapping[str, Sequence[str]] = field(default_factory=dict)


def columns(definitions: Mapping[str, tuple[str, Sequence[str]]], options: str = "") -> list[str]:
    """Return a table t with a column for each definition, and rows with its values as SQL.

    Each value stands in a row whose slot stays and in one whose slot moves.
    """
    count = max(len(values) for _, values in definitions.values())
    made = ", ".join(f"`{name}` {text}" for name, (text, _) in definitions.items())
    statements = [
        f"CREATE TABLE {{}} (id BIGINT PRIMARY KEY, k INT, {made}) ENGINE=InnoDB {options}"
    ]
    names = ", ".join(f"`{name}`" for name in definitions)
    for number in range(count):
        chosen = ", ".join(values[number % len(values)] for _, values in definitions.values())
        for place, keys in enumerate((KEYS, OTHER_KEYS)):
            statements.append(
                f"INSERT INTO {{}} (id, k, {names}) VALUES "
                f"({2 * number + place}, {keys[number]}, {chosen})"
            )
    return statements


def texts(*values: str) -> list[str]:
    """Return values as SQL that no session reads in another way."""
    return [f"CONVERT(x'{value.encode().hex()}' USING utf8mb4)" for value in values]


NUMBERS = {
    "tiny": ("TINYINT", ["-128", "127", "0", "NULL"]),
    "wide": ("BIGINT UNSIGNED", ["0", "18446744073709551615"]),
    "signed": ("BIGINT", ["-9223372036854775808", "9223372036854775807"]),
    "padded": ("INT(12) ZEROFILL", ["0", "42", "4294967295"]),
    "exact": ("DECIMAL(65,30)", ["-0.000000000000000000000000000001", f"{'9' * 35}.{'9' * 30}"]),
    "real4": ("FLOAT", ["0.1", "16777217", "-0e0", "3.4028234663852886e38", "1e-45", "7e-10"]),
    "real8": (
        "DOUBLE",
        [
            "0.1",
            "-0e0",
            "5e-324",
            "1.7976931348623157e308",
            "123456789.12345678",
            "0.30000000000000004",
        ],
    ),
    "cut": ("DOUBLE(10,3)", ["1.005", "-1234567.891"]),
    "negative": ("FLOAT NOT NULL", ["-0e0", "1.1"]),
    "one": ("BIT(1)", ["b'0'", "b'1'", "NULL"]),
    **{
        f"b{n}": (f"BIT({n})", ["0", f"{2**n - 1}", f"{2 ** (n - 1)}"])
        for n in (7, 8, 9, 39, 63, 64)
    },
    "y": ("YEAR", ["0000", "1901", "2155"]),
}
TIMES = {
    "d": ("DATE", ["'0000-00-00'", "'2026-02-00'", "'2026-02-31'", "'9999-12-31'", "NULL"]),
    "t": ("TIME(6)", ["'-838:59:59.999999'", "'-00:00:00.000001'", "'838:59:59.999999'", "0"]),
    "dt": ("DATETIME(6)", ["'0000-00-00 00:00:00'", "'2026-03-29 02:30:00.123456'",
                           "'9999-12-31 23:59:59.999999'"]),
    "ts": ("TIMESTAMP(6) NULL", ["'1970-01-01 00:00:01'", "'2026-03-29 01:30:00.5'",
                                 "'2026-10-25 00:30:00.1'", "'2026-10-25 01:30:00.1'",
                                 "'2038-01-19 03:14:07.999999'", "NULL"]),
    "touched": ("TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP",
                ["'2001-02-03 04:05:06'", "0"]),
    "made": ("DATETIME(3) DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)",
             ["NULL", "'1000-01-01'"]),
    "day": ("DATE DEFAULT (CURRENT_DATE + INTERVAL 1 DAY)", ["NULL", "'2020-02-29'"]),
    "year": ("YEAR DEFAULT 1999", ["NULL", "0000"]),
}  # fmt: skip
WIDE = ["", " ", "a", "A ", "é", "'", '"', "\\", "a\\'b\n\r\t\0\x1a%s%%", "NULL", "\\N",
        "\U0001f41f", "中文", "ß", "\u200b", "x  "]  # fmt: skip
NARROW = ["", " ", "a", "A  ", "é", "'\"\\\0\x1a%s", "€", "ÿ"]
TEXTS = {
    "c0": ("CHAR(0)", ["''", "NULL"]),
    "c": ("CHAR(30) CHARACTER SET utf8mb4", texts(*WIDE)),
    "v": ("VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci", texts(*WIDE)),
    "l": ("VARCHAR(60) CHARACTER SET latin1 COLLATE latin1_german2_ci", texts(*NARROW)),
    "undefined": ("VARCHAR(9) CHARACTER SET latin1", ["x'818d8f909d'", "x'9f80'"]),
    "three": ("VARCHAR(60) CHARACTER SET utf8mb3", texts(*NARROW, "中文")),
    "u16": ("VARCHAR(60) CHARACTER SET utf16", texts(*WIDE)),
    "u16le": ("TEXT CHARACTER SET utf16le", texts(*WIDE)),
    "u32": ("CHAR(20) CHARACTER SET utf32", texts(*WIDE)),
    "u2": ("VARCHAR(20) CHARACTER SET ucs2", texts(*NARROW)),
    "sjis": ("VARCHAR(20) CHARACTER SET sjis", texts("表", "ソ\\'", "a")),
    "gbk": ("VARCHAR(20) CHARACTER SET gbk", texts("縗'", "誠\\", "a")),
    "big5": ("CHAR(20) CHARACTER SET big5", texts("功\\", "許'", "a")),
    "tiny": ("TINYTEXT", texts(*NARROW)),
    "long": ("LONGTEXT CHARACTER SET utf8mb4", ["REPEAT(x'f09f909f', 30000)", "''", "NULL"]),
    "packed": ("VARCHAR(500) COMPRESSED CHARACTER SET utf8mb4", ["REPEAT('a ', 200)", "''"]),
    "e": ("ENUM('', 'it''s', 'a,b', 'b\\\\c', '%s', '\"q\"', 'é') CHARACTER SET utf8mb4",
          ["1", "2", "3", "4", "5", "6", "7", "NULL"]),
    "digits": ("ENUM('2', '1', '0')", ["1", "2", "3"]),
    "s": ("SET('', 'it''s', 'x', '%d', '1') CHARACTER SET utf8mb4", ["0", "1", "2", "31", "20"]),
    "s64": (f"SET({', '.join(repr(f'v{n}') for n in range(64))})", ["18446744073709551615", "0"]),
}  # fmt: skip
if is_mysql():
    del TEXTS["packed"]
ALL_BYTES = f"x'{bytes(range(256)).hex()}'"
BYTES = {
    "b4": ("BINARY(4)", ["'a'", "x'00000000'", "x'ff5c2722'"]),
    "vb": ("VARBINARY(300)", [ALL_BYTES, "''", "x'00'", "x'1a'", "NULL"]),
    "blob": ("BLOB", [ALL_BYTES, "''", "REPEAT(x'00ff', 300)"]),
    "big": ("LONGBLOB", ["REPEAT(x'00275c', 100000)", "NULL"]),
    "packed": ("BLOB COMPRESSED", [f"REPEAT({ALL_BYTES}, 20)", "''"]),
    "j": ("JSON", ["'{\"a\": [1, 2.50, null]}'", "'\" \\\\\\\\u00e9 \"'", "'{ }'", "NULL"]),
    "checked": ("JSON CHECK (JSON_LENGTH(checked) < 3)", ["'[1,2]'", "'[1,2,3,4]'"]),
    "uuid": ("UUID", ["'123e4567-e89b-12d3-a456-426614174000'", "REPEAT('0', 32)"]),
    "i4": ("INET4", ["'192.0.2.1'", "'0.0.0.0'"]),
    "i6": ("INET6", ["'::'", "'2001:db8::ff00:42:8329'", "'::ffff:192.0.2.1'"]),
    "p": ("POINT", ["ST_GeomFromText('POINT(1 2.5)', 4326)", "NULL"]),
    "g": ("GEOMETRY", ["ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))')",
                       "ST_GeomFromText('GEOMETRYCOLLECTION(POINT(0 0))')"]),
}  # fmt: skip
if is_mysql():  # whose JSON has no CHECK that can be put off
    for of_mariadb in ("packed", "checked", "uuid", "i4", "i6"):
        del BYTES[of_mariadb]


def keyed(definition: str, keys: Sequence[str], *, options: str = "", more: str = "") -> list[str]:
    """Return a table whose primary key is `definition`, with rows of `keys` in all slots."""
    statements = [
        f"CREATE TABLE {{}} ({definition}, k INT, c VARCHAR(20){more}) ENGINE=InnoDB {options}"
    ]
    for number, key in enumerate(keys):
        shard_key = (KEYS, OTHER_KEYS)[number % 2][number // 2]
        statements.append(f"INSERT INTO {{}} VALUES ({key}, {shard_key}, 'c{number}')")
    return statements


FOLDED = [
    "'Foo'",
    "'bar'",
    "x'c3a9'",
    "x'c39f'",
    "x'f09f909f'",
    "'it''s'",
    "'a\\\\b'",
    "''",
    "'%s'",
    "'zz'",
]
KEYED = {
    "p_char": keyed("a CHAR(9) COLLATE utf8mb4_general_ci, b DECIMAL(20,10), d DATE, "
                    "v VARBINARY(9), PRIMARY KEY (a, b, d, v)",
                    [f"{a}, {b}, {d}, {v}" for a in ("'a'", "'B'", "''") for b in ("-1.5", "0.1")
                     for d in ("'0000-00-00'", "'2026-02-31'") for v in ("''", "x'00'", "x'ff27'")],
                    options="CHARSET utf8mb4"),
    "p_prefix": keyed("a VARCHAR(200) COLLATE utf8mb4_general_ci, PRIMARY KEY (a(4))",
                      ["'abcdEFGH'", "'abceZ'", "'ABCF'", "'b'", "'b0 '", "''", "x'f09f909f'"],
                      options="CHARSET utf8mb4"),
    "p_blob": keyed("a BLOB, b TEXT CHARACTER SET latin1, PRIMARY KEY (a(5), b(3))",
                    ["x'00', 'a'", "x'00', 'b'", "x'0000', 'a'", "x'ff', ''", "'', 'it''s'"]),
    "p_desc": keyed("a INT, b VARCHAR(9) COLLATE latin1_german2_ci, PRIMARY KEY (a DESC, b)",
                    ["1, 'a'", "1, 'b'", "-5, 'z'", "0, ''", "2147483647, 'x'"]),
    "p_ci": keyed("a VARCHAR(20) COLLATE utf8mb4_unicode_ci PRIMARY KEY", FOLDED,
                  options="CHARSET utf8mb4"),
    "p_nopad": keyed(f"a VARCHAR(20) COLLATE {no_pad_binary()} PRIMARY KEY",
                     [*FOLDED, "'foo'", "'Foo '", "'foo '", "'FOO'"], options="CHARSET utf8mb4"),
    "p_enum": keyed("a ENUM('z','1','a','2'), s SET('z','a','1'), b BIT(40), PRIMARY KEY (a, s, b)",
                    [f"{a}, {s}, {b}" for a in (1, 2, 4) for s in (0, 5) for b in (0, 2**40 - 1)]),
    "p_long": keyed("a VARCHAR(760) COLLATE utf8mb4_unicode_ci PRIMARY KEY",
                    [f"CONCAT(REPEAT('x', 750), {n})" for n in (5, 3, 9, 1, 7, 2, 8, 4)],
                    options="CHARSET utf8mb4 ROW_FORMAT=DYNAMIC"),
    "p_zero": keyed("a BIGINT AUTO_INCREMENT PRIMARY KEY", ["0", "-7", "5", "6"],
                    options="AUTO_INCREMENT=77"),
}  # fmt: skip

INDEXED = [
    (
        "CREATE TABLE {} (id BIGINT PRIMARY KEY, k INT, u VARCHAR(20) UNIQUE, w TEXT UNIQUE, "
        "x VARCHAR(50), p POINT NOT NULL, g INT AS (id * 2) VIRTUAL, "
        "h VARCHAR(60) AS (CONCAT(x, '!')) STORED, n INT NOT NULL "
        "DEFAULT (FLOOR(RAND() * 9)), hid INT INVISIBLE DEFAULT 3, "
        "q INT CHECK (q > 0), KEY desc_ (k DESC, n), KEY pre (x(3)), KEY (g), UNIQUE (h(30)), "
        "KEY ign (n) IGNORED, FULLTEXT KEY words (x, w) COMMENT 'a, KEY `b` (c)', SPATIAL KEY (p), "
        "UNIQUE nulls (u, q), CONSTRAINT `a``c` CHECK (n >= 0 and x <> 'KEY'), INDEX (w(10))) "
        "ENGINE=InnoDB CHARSET utf8mb4 COMMENT='\n) ENGINE=InnoDB AUTO_INCREMENT=5'"
    ),
    *(
        f"INSERT INTO {{}} (id, k, u, w, x, p, n, hid, q) VALUES ({n}, {key}, "
        f"{'NULL' if n % 3 else n}, {f'REPEAT({n}, 3000)' if n % 2 else 'NULL'}, 'x{n}', "
        f"POINT({n}, 1), {n}, {n * n}, {-n if n % 4 == 1 else 'NULL'})"
        for n, key in enumerate(
            x for pair in zip(KEYS[:12], OTHER_KEYS, strict=False) for x in pair
        )
    ),
]
GENERATED_KEY = [
    (
        "CREATE TABLE {} (a INT NOT NULL, b VARCHAR(9) NOT NULL, k VARCHAR(30) AS "
        "(CONCAT(a, '-', b)) %s, PRIMARY KEY (a, b)) ENGINE=InnoDB CHARSET utf8mb4"
    ),
    *(f"INSERT INTO {{}} (a, b) VALUES ({n}, 'b{n}')" for n in range(40)),
]
STORED_KEY, VIRTUAL_KEY = (
    [GENERATED_KEY[0].replace("%s", kind), *GENERATED_KEY[1:]] for kind in ("STORED", "VIRTUAL")
)
PAIRED = [
    f"INSERT INTO {{}} VALUES ({n}, {key}, %s)"
    for n, key in enumerate([*KEYS[:9], *OTHER_KEYS[:9]])
]
FAMILY = {
    "parent": ["CREATE TABLE {} (id INT PRIMARY KEY, k INT, c INT) ENGINE=InnoDB",
               *(text.replace("%s", "1") for text in PAIRED)],
    "child": [("CREATE TABLE {} (id INT PRIMARY KEY, k INT, up INT, "
              "CONSTRAINT fk_up FOREIGN KEY (up) REFERENCES parent (id)) ENGINE=InnoDB"),
              *(text.replace("%s", str(n)) for n, text in enumerate(PAIRED))],
    "tree": [("CREATE TABLE {} (id INT PRIMARY KEY, k INT, up INT, FOREIGN KEY (up) REFERENCES "
             "tree (id)) ENGINE=InnoDB"),
             *(text.replace("%s", f"{n + 100}") for n, text in enumerate(PAIRED)),
             "INSERT INTO {} SELECT id + 100, k, id FROM tree"],
}  # fmt: skip
PARTITIONED = keyed(
    "id INT PRIMARY KEY", [str(n) for n in range(24)],
    options="PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (7), "
            "PARTITION `p``1%s` VALUES LESS THAN MAXVALUE COMMENT='it''s')",
)  # fmt: skip
SQUEEZED = keyed("id INT PRIMARY KEY", [str(n) for n in range(9)],
                 options="ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=4")  # fmt: skip


LENIENT = {
    "fixed": keyed("id INT PRIMARY KEY", ["1", "2"], options="ROW_FORMAT=FIXED"),
    "broad": [
        (
            f"CREATE TABLE {{}} (id INT PRIMARY KEY, k INT, a VARBINARY(2) DEFAULT '?', "
            f"{', '.join(f'c{n} VARCHAR(250)' for n in range(60))}) ENGINE=InnoDB CHARSET latin1 "
            "ROW_FORMAT=COMPACT"
        ),
        f"INSERT INTO {{}} (id, k, c59) VALUES (1, {KEYS[0]}, 'x'), (2, {OTHER_KEYS[0]}, '')",
    ],
}


def named(key: str) -> list[str]:
    """Return a table with columns of odd names, `key` among them."""
    return [
        (
            f"CREATE TABLE {{}} (`i``d%s` INT PRIMARY KEY, `{key}` INT, `select` INT, "
            "`a\"b'c` INT, `:x` INT, ` sp` INT, `ñ中` INT, KEY `{0}` (`select`)) ENGINE=InnoDB"
        ),
        *(
            f"INSERT INTO {{}} VALUES ({n}, {number}, {n}, 1, 2, 3, NULL)"
            for n, number in enumerate([*KEYS[:4], *OTHER_KEYS[:4]])
        ),
    ]


HOSTILE_NAMES = ("ta`b'l\"e", "do.t", "per%cent%s", "sp ace", "é" * 64, "camelCase")
NAMES = {name: named("K$1") for name in ("select", "n" * 64, "CamelCase", "a-b")}
TEXT_KEYS = ["a", "A", "a ", "á", "", " ", "b", "it's", "\U0001f41f", "\\", "%s", "ß", "ss",
             "zz top", *(f"n{n}" for n in range(20))]  # fmt: skip


def text_keyed(column: str, keys: Sequence[str], *, indexed: bool = True) -> list[str]:
    """Return a table whose shard key is a column, with rows of `keys`."""
    index = ", INDEX (k)" if indexed else ""
    return [
        f"CREATE TABLE {{}} (id INT PRIMARY KEY, k {column}{index}) ENGINE=InnoDB",
        *(f"INSERT INTO {{}} VALUES ({n}, {key})" for n, key in enumerate(keys)),
    ]


STR_KEYS = {
    f"k_{n}": text_keyed(column, texts(*keys), indexed="TEXT" not in column)
    for n, (column, keys) in enumerate({
        "VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci": TEXT_KEYS,
        f"VARCHAR(20) CHARACTER SET utf8mb4 COLLATE {no_pad_binary()}": TEXT_KEYS,
        "CHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci": TEXT_KEYS,
        "VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_german2_ci": ["a", "A", "ä", "€", "ß"],
        "CHAR(20) CHARACTER SET ucs2": ["a", "中", "b ", "'"],
        "TEXT CHARACTER SET cp1251": ["a", "ж", "Ж", "'"],
    }.items())
}  # fmt: skip
STR_KEYS["k_enum"] = text_keyed(
    "ENUM('a', 'A ', 'é', '1') CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", ["1", "3", "4"]
)
BYTE_KEYS = {
    "k_vb": text_keyed(
        "VARBINARY(20)", ["''", "x'00'", "x'0000'", "x'ff'", "x'275c'", "'a'", "'A'", "'a '"]
    ),
    "k_b": text_keyed("BINARY(4)", ["''", "x'00'", "x'ff'", "x'275c'", "'abcd'"]),
    "k_blob": text_keyed("BLOB", ["''", "x'00'", ALL_BYTES], indexed=False),
}

INT_KEYS = {
    "k_bit": text_keyed("BIT(40)", ["0", "1", "255", "1099511627775", "39", "7777", "NULL"]),
    "k_year": text_keyed("YEAR", ["0000", "1901", "1999", "2026", "2155"]),
    "k_big": text_keyed("BIGINT UNSIGNED", ["0", "18446744073709551615", "12", "5", "77"]),
    "k_low": text_keyed("BIGINT", ["-9223372036854775808", "-1", "0", "NULL"]),
}
DATE_KEYS = {
    "k_date": text_keyed("DATE", ["'0000-00-00'", "'2026-02-31'", "'1000-01-01'", "'9999-12-31'",
                                  *(f"'2026-01-{day:02}'" for day in range(1, 20))]),
}  # fmt: skip
UUIDS = [f"'{n:08x}-e89b-12d3-a456-{n * 7919:012x}'" for n in range(20)]
UUID_KEYS = {
    **({} if is_mysql() else {"k_uuid": text_keyed("UUID", UUIDS)}),
    "k_text": text_keyed("CHAR(36) CHARACTER SET utf16 COLLATE utf16_general_ci", UUIDS),
}

CASES = {
    "numbers": Case({"t": columns(NUMBERS)}),
    "times": Case({"t": columns(TIMES)}),
    "texts": Case({"t": columns(TEXTS, "CHARSET latin1")}),
    "bytes": Case({"t": columns(BYTES, "CHARSET utf8mb4")}),
    "primary keys": Case(KEYED),
    "indexes": Case({"t": INDEXED}),
    "tables": Case({**FAMILY, "parts": PARTITIONED, "squeezed": SQUEEZED, **LENIENT}),
    "names": Case(NAMES, key="k$1", more={name: named("k.k") for name in HOSTILE_NAMES}),
    "text keys": Case(STR_KEYS, key_type="str"),
    "byte keys": Case(BYTE_KEYS, key_type="bytes"),
    "number keys": Case(INT_KEYS),
    "date keys": Case(DATE_KEYS, key_type="date"),
    "uuid keys": Case(UUID_KEYS, key_type="uuid"),
    "generated keys": Case({"stored": STORED_KEY, "virtual": VIRTUAL_KEY}, key_type="str"),
}
