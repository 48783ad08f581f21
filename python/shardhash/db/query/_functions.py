"""Which functions give the same answer on every shard, and so may be asked of several."""

from collections.abc import Sequence

from sqlglot import Token, TokenType

from shardhash.db.query._refusal import Refusal

__all__ = [
    "AGGREGATES",
    "OTHER_AGGREGATES",
    "leaves_nothing",
    "of_earlier_statement",
    "unknown_function",
]

AGGREGATES = frozenset({"COUNT", "SUM", "AVG", "MIN", "MAX"})

OTHER_AGGREGATES = frozenset({"TOTAL", "STD", "MEDIAN", "STRING_AGG"})
"""Aggregates that sqlglot takes for plain functions."""

_KNOWN = frozenset(
    """
    COUNT SUM AVG MIN MAX TOTAL GROUP_CONCAT STD STDDEV STDDEV_POP STDDEV_SAMP VARIANCE VAR_POP
    VAR_SAMP BIT_AND BIT_OR BIT_XOR ROW_NUMBER RANK DENSE_RANK PERCENT_RANK CUME_DIST NTILE LAG LEAD
    FIRST_VALUE LAST_VALUE NTH_VALUE
    ABS CEIL CEILING FLOOR ROUND TRUNCATE TRUNC MOD POW POWER SQRT EXP LN LOG LOG2 LOG10 SIGN
    GREATEST LEAST COALESCE IFNULL NULLIF IF IIF ISNULL CAST CONVERT BINARY CHAR CONCAT CONCAT_WS
    LOWER UPPER LCASE UCASE LENGTH CHAR_LENGTH CHARACTER_LENGTH OCTET_LENGTH BIT_LENGTH SUBSTR
    SUBSTRING SUBSTRING_INDEX MID LEFT RIGHT LTRIM RTRIM TRIM REPLACE REVERSE REPEAT SPACE LPAD RPAD
    INSTR LOCATE POSITION STRCMP FIELD FIND_IN_SET ELT ASCII ORD HEX UNHEX BIN OCT CONV CRC32 MD5
    SHA SHA1 SHA2 UNICODE QUOTE TYPEOF GLOB LIKE REGEXP_LIKE REGEXP_REPLACE REGEXP_SUBSTR
    REGEXP_INSTR WEIGHT_STRING
    YEAR MONTH DAY DAYOFMONTH DAYOFWEEK DAYOFYEAR DAYNAME MONTHNAME WEEK WEEKDAY WEEKOFYEAR YEARWEEK
    QUARTER HOUR MINUTE SECOND MICROSECOND DATE TIME DATETIME TIMESTAMP DATEDIFF TIMEDIFF DATE_ADD
    DATE_SUB ADDDATE SUBDATE ADDTIME SUBTIME TIMESTAMPDIFF TIMESTAMPADD EXTRACT TO_DAYS FROM_DAYS
    TO_SECONDS LAST_DAY MAKEDATE MAKETIME SEC_TO_TIME TIME_TO_SEC STR_TO_DATE DATE_FORMAT
    TIME_FORMAT PERIOD_ADD PERIOD_DIFF STRFTIME JULIANDAY
    JSON_EXTRACT JSON_VALUE JSON_UNQUOTE JSON_CONTAINS JSON_LENGTH JSON_VALID INET_ATON INET_NTOA
    VARCHAR DECIMAL NUMERIC FLOAT DOUBLE INT INTEGER SIGNED UNSIGNED NCHAR VARBINARY
    """.split()  # noqa: SIM905
)
"""Of the server's own functions those that depend on their arguments alone."""

_WORDS = frozenset(
    """
    SELECT FROM WHERE AND OR NOT XOR IN EXISTS ON USING JOIN AS BY HAVING WHEN THEN ELSE CASE
    BETWEEN LIKE UNION ALL DISTINCT ANY SOME VALUES OVER INTERVAL EXCEPT INTERSECT IS DIV ROW LIMIT
    OFFSET WITH ESCAPE INDEX KEY REGEXP RLIKE COLLATE FILTER
    """.split()  # noqa: SIM905
)
"""Words that stand before a parenthesis and are no functions."""

_BARE = frozenset(
    """
    CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER CURRENT_ROLE LOCALTIME LOCALTIMESTAMP
    UTC_DATE UTC_TIME UTC_TIMESTAMP SYSDATE
    """.split()  # noqa: SIM905
)
_OF_MOMENT = _BARE | frozenset(
    """
    NOW CURDATE CURTIME UNIX_TIMESTAMP FROM_UNIXTIME RAND UUID DATABASE SCHEMA USER SESSION_USER
    SYSTEM_USER VERSION CONNECTION_ID SLEEP
    """.split()  # noqa: SIM905
)
"""What may differ each time it is asked, and changes nothing."""

_OF_EARLIER = frozenset(
    """
    FOUND_ROWS ROW_COUNT LAST_INSERT_ID LASTVAL CHANGES TOTAL_CHANGES LAST_INSERT_ROWID
    """.split()  # noqa: SIM905
)
_LOCKING_OR_WRITING = frozenset({"INTO", "FOR", "LOCK", "PROCEDURE", "SQL_CALC_FOUND_ROWS"})
_PUNCTUATION = {TokenType.R_PAREN, TokenType.L_PAREN, TokenType.COMMA}
_MOMENTS = frozenset({"now", "localtime", "utc"})
_VARIABLES = {TokenType.PARAMETER, TokenType.SESSION_PARAMETER}


def leaves_nothing(tokens: Sequence[Token]) -> bool:
    """Return whether a SELECT is known to change nothing of its session, nor to write or lock.

    A function that is not known may be a stored one, which could set a variable.
    """
    for token in tokens:
        is_word = token.token_type is not TokenType.STRING
        if is_word and token.text.split(" ")[0].upper() in _LOCKING_OR_WRITING:
            return False
    return unknown_function(tokens, beside=_OF_MOMENT) is None


def of_earlier_statement(tokens: Sequence[Token]) -> Refusal | None:
    """Return why a statement has no answer: it asks for what an earlier one of its session did.

    LAST_INSERT_ID with an argument answers that, whatever was before.
    """
    for token, after, argument in zip(tokens, tokens[1:], tokens[2:], strict=False):
        name = token.text.upper()
        is_call = name in _OF_EARLIER and after.token_type is TokenType.L_PAREN
        if is_call and (name != "LAST_INSERT_ID" or argument.token_type is TokenType.R_PAREN):
            return Refusal(
                f"{name}() tells of an earlier statement of the same session, and "
                "each statement may run in another",
                "run both statements on one connection: with cluster.connection(mapping, key)",
            )
    return None


def unknown_function(
    tokens: Sequence[Token], *, beside: frozenset[str] = frozenset()
) -> Refusal | None:
    """Return why shards may differ on a statement: a function of time, chance or session.

    Those of `beside` are let through.
    """
    following = [*tokens[1:], None]
    before: Token | None = None
    for place, (token, after) in enumerate(zip(tokens, following, strict=True)):
        name = token.text.upper()
        is_call = after is not None and after.token_type is TokenType.L_PAREN
        is_qualified = before is not None and before.token_type is TokenType.DOT
        before = token
        if token.token_type in _VARIABLES or token.text == "@":
            return Refusal(
                "a user or session variable has a value of its own on each shard's session",
                "pass its value as a parameter",
            )
        if token.token_type is TokenType.STRING:
            if token.text.lower() in _MOMENTS:
                return _of_session(f"'{token.text}'")
            continue
        if token.token_type is TokenType.IDENTIFIER or is_qualified:
            if is_call:
                return _of_session(name)
            continue
        if name in beside:
            continue
        if name in _BARE:
            return _of_session(name)
        is_known = name in _KNOWN or name in _WORDS
        if is_call and _is_word(token) and not is_known and not _names_columns(tokens, place):
            return _of_session(f"{name}()")
    return None


def _names_columns(tokens: Sequence[Token], place: int) -> bool:
    """Tell whether what seems a call is a query of WITH and its columns: ``t (a, b) AS (``."""
    while place < len(tokens) and tokens[place].token_type is not TokenType.R_PAREN:
        place += 1
    kinds = [token.token_type for token in tokens[place + 1 : place + 3]]
    return kinds == [TokenType.ALIAS, TokenType.L_PAREN]


def _is_word(token: Token) -> bool:
    return token.text.replace("_", "a").isalnum() and not token.text.isdigit()


def _of_session(what: str) -> Refusal:
    return Refusal(
        f"{what} is not known to give the same on every shard: it may depend on time, chance, the "
        "session or other rows",
        "compute it in the application and pass it as a parameter",
    )
