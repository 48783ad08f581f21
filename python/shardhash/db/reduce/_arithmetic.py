"""MySQL's arithmetic over folded aggregates: exact decimals, three-valued logic.

Sources: https://dev.mysql.com/doc/refman/8.0/en/precision-math.html, and for division the server's
own rule (strings/decimal.c): a quotient is cut to whole words of nine digits after the point. It
is rounded to the scale of its expression only where it is compared, sorted or sent. An average
inside a larger expression is rounded before or after, as the server's plan has it.
"""

import operator
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal
from typing import Any

from shardhash.db.tasks import INTEGER_TYPES, ResultColumn
from shardhash.errors import DatabaseError, QueryRefusedError

__all__ = ["Expression", "bind", "compute", "converter", "rounded"]

Expression = tuple[Any, ...]
"""``("ref", index)``, ``("const", value)``, ``("param", mark)`` or ``(operation, *parts)``."""

State = Sequence[Any]

_EXACT = Context(prec=300)
_WORD = 9
_DIVISION_SCALE = 4
_INT_MIN, _UINT_MAX = -(2**63), 2**64
_MAX_SCALE = 38


class _Quotient(Decimal):
    """A number with more digits than its expression has: ``scale`` is the expression's."""

    __slots__ = ("scale",)
    scale: int


def bind(expression: Expression, values: Sequence[object]) -> Expression:
    """Return an expression with the values of its placeholders."""
    name, *parts = expression
    if name == "param":
        return "const", values[parts[0]]
    if name in ("ref", "const"):
        return expression
    return name, *[bind(part, values) for part in parts]


class _Unsigned(int):
    """A whole number of an unsigned type, which arithmetic must not make negative."""

    __slots__ = ()


class _Unsure(int):
    """A whole number of a type that may be unsigned."""

    __slots__ = ()


def compute(
    expression: Expression, *, division_scale: int = _DIVISION_SCALE
) -> Callable[[State], Any]:
    """Return a function of a group's state that computes an expression.

    ``division_scale`` is the server's ``div_precision_increment``. The function raises
    QueryRefusedError where an operand is of a type whose rules are not known here, or where the
    server's answer depends on its plan.
    """
    if expression[0] == "avg" or not _has_average(expression):
        return _compiled(expression, division_scale, rounds_averages=False)
    exact = _compiled(expression, division_scale, rounds_averages=False)
    rounded = _compiled(expression, division_scale, rounds_averages=True)
    return lambda state: _agreed(exact(state), rounded(state))


def rounded(value: Any) -> Any:
    """Return a computed number as it is compared and sorted: with the scale of its expression."""
    if isinstance(value, _Quotient):
        unit = Decimal(1).scaleb(-value.scale)
        return value.quantize(unit, rounding=ROUND_HALF_UP, context=_EXACT)
    return value


def _has_average(expression: Expression) -> bool:
    return expression[0] == "avg" or any(
        isinstance(part, tuple) and _has_average(part) for part in expression[1:]
    )


def _agreed(exact: Any, early: Any) -> Any:
    """Return a value that does not depend on when the server rounds its averages."""
    if rounded(exact) != rounded(early):
        raise QueryRefusedError(
            "an expression over AVG() of all shards: whether the average is rounded before or "
            "after depends on the server's plan, and it matters here",
            next_step="write SUM(x) / COUNT(x) in place of AVG(x), or compute in the application",
        )
    return exact


def _compiled(
    expression: Expression, division_scale: int, *, rounds_averages: bool
) -> Callable[[State], Any]:
    name, *arguments = expression
    if name == "ref":
        index = arguments[0]
        return lambda state: state[index]
    if name == "const":
        value = arguments[0]
        return lambda state: value
    parts = [_compiled(part, division_scale, rounds_averages=rounds_averages) for part in arguments]
    if name in _LAZY:
        return _LAZY[name](parts)
    if name == "avg" and rounds_averages:
        return lambda state: rounded(_divide(parts[0](state), parts[1](state), division_scale))
    if name in ("/", "avg"):
        return lambda state: _divide(parts[0](state), parts[1](state), division_scale)
    function = _STRICT[name]
    return lambda state: _strict(function, [part(state) for part in parts])


def converter(column: ResultColumn) -> Callable[[Any], Any]:
    """Return a function that makes a computed number what the server's column type makes of it."""
    if column.type == "DECIMAL" and column.scale is not None:
        unit = Decimal(1).scaleb(-column.scale)
        return lambda value: _decimal(value, unit)
    if column.type in INTEGER_TYPES:
        return lambda value: None if value is None else int(_rounded(value))
    if column.type in ("DOUBLE", "FLOAT"):
        return lambda value: None if value is None else float(value) + 0.0  # no server shows -0
    return _text if column.type in _TEXTS else lambda value: value


_TEXTS = frozenset({"VARCHAR", "CHAR", "TINYBLOB", "MEDIUMBLOB", "LONGBLOB", "BLOB"})


def _text(value: Any) -> Any:
    """Return a value of a text column: what a server makes of others is not known here."""
    if value is not None and not isinstance(value, str | bytes):
        raise _refused(value)
    return value


def _decimal(value: Any, unit: Decimal) -> Any:
    if isinstance(value, float):
        raise _refused(value)
    if value is None:
        return None
    rounded = Decimal(value).quantize(unit, rounding=ROUND_HALF_UP, context=_EXACT)
    return rounded if rounded else abs(rounded)  # no server shows -0


def _rounded(value: Any) -> Any:
    if isinstance(value, Decimal):
        return value.quantize(Decimal(1), rounding=ROUND_HALF_UP, context=_EXACT)
    return value


def _strict(function: Callable[..., Any], values: Sequence[Any]) -> Any:
    """Apply a function that gives NULL where an operand is NULL."""
    if any(value is None for value in values):
        return None
    return function(*values)


def _numbers(*values: Any) -> tuple[Any, ...]:
    if not all(isinstance(value, int | Decimal | float) for value in values):
        raise _refused(*values)
    if any(isinstance(value, float) for value in values):
        return tuple(map(float, values))
    return values


def _refused(*values: Any) -> QueryRefusedError:
    found = " and ".join(sorted({_kind(value) for value in values}))
    return QueryRefusedError(
        f"an expression over aggregates of all shards has operands of type {found}, for which the "
        "server's rules are not known here",
        next_step="select the aggregates as they are, and compute in the application",
    )


def _kind(value: Any) -> str:
    plain = (Decimal, int) if not isinstance(value, bool) else ()
    return next((kind.__name__ for kind in plain if isinstance(value, kind)), type(value).__name__)


def _whole(value: int, *operands: Any) -> int:
    """Return the result of arithmetic on whole numbers, unsigned if an operand is.

    Source: https://mariadb.com/kb/en/numeric-data-type-overview/#signed-unsigned-and-zerofill
    """
    is_unsigned = any(isinstance(operand, _Unsigned) for operand in operands)
    is_unsure = any(isinstance(operand, _Unsure) and operand >= 0 for operand in operands)
    if not (0 if is_unsigned else _INT_MIN) <= value < _UINT_MAX:
        raise DatabaseError(
            "a whole number over aggregates is out of range: BIGINT value is out of range",
            next_step="cast one operand to DECIMAL",
        )
    if is_unsure and value < 0 and not is_unsigned:
        raise QueryRefusedError(
            "a number over the answers of all shards is negative, which is an error where one of "
            "its operands is of an unsigned type; whether one is, is not known here",
            next_step="compute it in the application, or CAST the operands in the inner query",
        )
    return _Unsigned(value) if is_unsigned else _Unsure(value) if is_unsure else value


def _arithmetic(exact: str, approximate: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    in_decimal = getattr(_EXACT, exact)
    joined = operator.add if exact == "multiply" else max

    def apply(left: Any, right: Any) -> Any:
        left, right = _numbers(left, right)
        if isinstance(left, float):
            return approximate(left, right)
        if isinstance(left, int) and isinstance(right, int):
            return _whole(approximate(int(left), int(right)), left, right)
        scale = min(joined(_declared(left), _declared(right)), _MAX_SCALE)
        return _with_scale(in_decimal(Decimal(left), Decimal(right)), scale)

    return apply


def _declared(value: Any) -> int:
    """Return the scale of the expression that a number comes from."""
    return value.scale if isinstance(value, _Quotient) else _scale(Decimal(value))


def _with_scale(value: Decimal, scale: int) -> Decimal:
    if _scale(value) <= scale:
        return value
    quotient = _Quotient(value)
    quotient.scale = scale
    return quotient


def _divide(left: Any, right: Any, division_scale: int) -> Any:
    if left is None or right is None:
        return None
    left, right = _numbers(left, right)
    if not right:
        return None
    if isinstance(left, float):
        return left / right
    scales = [_scale(Decimal(value)) for value in (left, right)]
    words = [-(-scale // _WORD) * _WORD for scale in scales]
    more = max(0, division_scale - (words[0] - scales[0]) - (words[1] - scales[1]))
    digits = -(-(sum(words) + more) // _WORD) * _WORD
    numerator, denominator = Decimal(left).as_integer_ratio(), Decimal(right).as_integer_ratio()
    top = numerator[0] * denominator[1] * 10**digits
    bottom = numerator[1] * denominator[0]
    quotient = abs(top) // abs(bottom)
    sign = -1 if (top < 0) != (bottom < 0) else 1
    found = Decimal(sign * quotient).scaleb(-digits, context=_EXACT)
    return _with_scale(found, min(_declared(left) + division_scale, _MAX_SCALE))


def _scale(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _signed(value: Any, exact: Callable[[Decimal], Decimal], plain: Callable[[Any], Any]) -> Any:
    """Change a number's sign and nothing else of it."""
    if isinstance(value, Decimal):
        return _with_scale(exact(value), _declared(value))
    return plain(_numbers(value)[0])


def _integer_divide(left: Any, right: Any) -> Any:
    left, right = _numbers(left, right)
    if isinstance(left, float):
        raise _refused(left)
    if not right:
        return None
    quotient = _EXACT.divide_int(Decimal(left), Decimal(right))
    return _whole(int(quotient), left, right)


def _modulo(left: Any, right: Any) -> Any:
    left, right = _numbers(left, right)
    if isinstance(left, float):
        raise _refused(left)
    if not right:
        return None
    rest = _EXACT.remainder(Decimal(left), Decimal(right))
    return int(rest) if isinstance(left, int) and isinstance(right, int) else rest


def _round(value: Any, digits: Any = 0) -> Any:
    if not isinstance(value, int | Decimal) or not isinstance(digits, int):
        raise _refused(value)
    unit = Decimal(1).scaleb(-min(digits, _scale(Decimal(value))))
    rounded = Decimal(value).quantize(unit, rounding=ROUND_HALF_UP, context=_EXACT)
    return int(rounded) if isinstance(value, int) else rounded


def _towards(rounding: str) -> Callable[[Any], Any]:
    def apply(value: Any) -> Any:
        if isinstance(value, float):
            raise _refused(value)
        (number,) = _numbers(value)
        return Decimal(number).quantize(Decimal(1), rounding=rounding, context=_EXACT)

    return apply


_MOMENT = re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d(\.\d{1,6})?)?", re.ASCII)


def _moments(left: Any, right: Any) -> tuple[Any, Any]:
    """Return two operands as moments if one is, and the other is one or the text of one.

    Source: https://dev.mysql.com/doc/refman/8.0/en/type-conversion.html
    """
    operands = left, right
    if not any(isinstance(each, date) for each in operands):
        return operands
    found = [_moment(each) for each in operands]
    return operands if None in found else (found[0], found[1])


def _moment(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def _compare(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], int]:
    def apply(left: Any, right: Any) -> int:
        left, right = _moments(rounded(left), rounded(right))
        if type(left) is type(right) and isinstance(left, date | datetime):
            return int(test(left, right))
        if isinstance(left, float) != isinstance(right, float):
            left, right = _numbers(left, right)
        elif not all(isinstance(value, int | Decimal | float) for value in (left, right)):
            raise _refused(left, right)
        return int(test(left, right))

    return apply


def _truth(value: Any) -> bool | None:
    if value is None:
        return None
    if not isinstance(value, int | Decimal | float):
        raise _refused(value)
    return bool(value)


def _flag(value: bool | None) -> int | None:
    return None if value is None else int(value)


Parts = Sequence[Callable[[State], Any]]


def _and(parts: Parts) -> Callable[[State], Any]:
    def apply(state: State) -> Any:
        values = [_truth(part(state)) for part in parts]
        return _flag(False if False in values else None if None in values else True)

    return apply


def _or(parts: Parts) -> Callable[[State], Any]:
    def apply(state: State) -> Any:
        values = [_truth(part(state)) for part in parts]
        return _flag(True if True in values else None if None in values else False)

    return apply


def _coalesce(parts: Parts) -> Callable[[State], Any]:
    return lambda state: next((v for part in parts if (v := part(state)) is not None), None)


def _nullif(parts: Parts) -> Callable[[State], Any]:
    equal = _compare(operator.eq)

    def apply(state: State) -> Any:
        value, other = (part(state) for part in parts)
        return None if _strict(equal, [value, other]) else value

    return apply


def _case(parts: Parts) -> Callable[[State], Any]:
    """Return CASE WHEN: conditions and values in turn, then the value of ELSE."""

    def apply(state: State) -> Any:
        for test, value in zip(parts[:-1:2], parts[1::2], strict=True):
            if _truth(test(state)):
                return value(state)
        return parts[-1](state)

    return apply


def _is_null(parts: Parts) -> Callable[[State], Any]:
    return lambda state: int(parts[0](state) is None)


def _in(parts: Parts) -> Callable[[State], Any]:
    equal = _compare(operator.eq)

    def apply(state: State) -> Any:
        value = parts[0](state)
        found = [_strict(equal, [value, part(state)]) for part in parts[1:]]
        return 1 if 1 in found else None if None in found else 0

    return apply


_LAZY: dict[str, Callable[[Parts], Callable[[State], Any]]] = {
    "and": _and,
    "or": _or,
    "coalesce": _coalesce,
    "nullif": _nullif,
    "case": _case,
    "isnull": _is_null,
    "in": _in,
}

_STRICT: dict[str, Callable[..., Any]] = {
    "unsigned": lambda value: _Unsigned(value) if isinstance(value, int) else value,
    "unsure": lambda value: _Unsure(value) if isinstance(value, int) else value,
    "+": _arithmetic("add", operator.add),
    "-": _arithmetic("subtract", operator.sub),
    "*": _arithmetic("multiply", operator.mul),
    "div": _integer_divide,
    "%": _modulo,
    "neg": lambda value: _signed(value, Decimal.copy_negate, operator.neg),
    "abs": lambda value: _signed(value, Decimal.copy_abs, abs),
    "round": _round,
    "floor": _towards(ROUND_FLOOR),
    "ceil": _towards(ROUND_CEILING),
    "not": lambda value: _flag(not _truth(value)),
    "=": _compare(operator.eq),
    "<>": _compare(operator.ne),
    "<": _compare(operator.lt),
    "<=": _compare(operator.le),
    ">": _compare(operator.gt),
    ">=": _compare(operator.ge),
}
