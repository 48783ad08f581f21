"""The words of a configuration as values."""

import pytest

from shardhash.db.topology import (
    Endpoint,
    Key,
    KeyType,
    Mapping,
    PasswordKind,
    PasswordSource,
    RangeRule,
    RingRule,
    SlotRule,
    TableRule,
    Variable,
)


@pytest.mark.parametrize(
    ("rule", "shards"),
    [
        (SlotRule(owners=("b", "a"), shards=("b", "a", "empty")), ("b", "a", "empty")),
        (RangeRule(bounds=(1, 2), shards=("a", "b", "a")), ("a", "b")),
        (RingRule(nodes={"b": 1.0, "a": 2.0}), ("b", "a")),
    ],
)
def test_a_mapping_names_each_shard_of_its_rule_once(rule, shards):
    mapping = Mapping(name="m", key=Key("k", KeyType.INT), tables=(TableRule("t", "k"),), rule=rule)

    assert mapping.shards == shards


def test_the_repr_of_an_endpoint_holds_no_password():
    endpoint = Endpoint(password=PasswordSource(PasswordKind.TEXT, "hunter2"))

    assert "hunter2" not in repr(endpoint)


def test_variables_are_those_of_a_password_text_only():
    text = "${A}${B:-x}"

    assert PasswordSource(PasswordKind.TEXT, text).variables == (Variable("A"), Variable("B", "x"))
    assert PasswordSource(PasswordKind.FILE, text).variables == ()


@pytest.mark.parametrize(
    ("text", "is_literal"), [("x", True), ("${A}", False), ("${A:-x}", False), ("x${A}", True)]
)
def test_text_outside_of_references_is_a_literal_password(text: str, is_literal: bool):
    assert PasswordSource(PasswordKind.TEXT, text).is_literal is is_literal


def test_an_address_is_the_socket_or_host_and_port():
    assert Endpoint(host="db", port=1).address == "db:1"
    assert Endpoint(unix_socket="/run/x").address == "/run/x"
