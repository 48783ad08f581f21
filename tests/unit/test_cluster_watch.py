"""The last good map: followed, aged, and never lost to a store that fails."""

import threading
from dataclasses import replace

import pytest

from shardhash.db.cluster import Cluster
from shardhash.db.cluster._watch import ConfigWatch
from shardhash.db.config import Config
from shardhash.db.operations import Operations
from shardhash.db.plan import Plan
from shardhash.errors import ConfigError, StaleMapError, StalePlanError, StoreError, UsageError

TEXT = """
format: 1
app: shop
map_max_age_s: 30
instances: {disk: {url: "sqlite:///shards"}}
shards:
  s1: {instance: disk, database: s1}
  s2: {instance: disk, database: s2}
mappings:
  by_store:
    key: {column: store_id, type: int}
    tables: [orders]
    slots: {count: 2, owners: {s1: "0", s2: "1"}}
"""
OLD = Config.parse(TEXT, version="1")
NEW = Config.parse(TEXT.replace('{s1: "0", s2: "1"}', '{s1: "1", s2: "0"}'), version="2")


class Store:
    """A store that answers with `config`, or raises `error`; for faults only."""

    def __init__(self):
        self.url = "store"
        self.config = OLD
        self.error = None
        self.may_repeat_versions = False
        self.asked = threading.Event()

    def version(self):
        self.asked.set()
        if self.error:
            raise self.error
        return self.config.version

    def load(self):
        return self.config, self.version()

    def read_journal(self, operation):
        return ()

    def list_journals(self):
        return ()

    def close(self):
        pass


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def watch(store, clock):
    watch = ConfigWatch(OLD, store, refresh_s=3600, clock=clock)
    yield watch
    watch.close()


def test_a_new_version_is_followed(watch, store):
    store.config = NEW

    assert watch.refresh() == "new"
    assert watch.config is NEW


@pytest.mark.parametrize("error", [StoreError("down"), ConfigError([]), UsageError("empty")])
def test_a_store_that_fails_leaves_the_last_good_map_and_lets_it_age(watch, store, clock, error):
    store.error = error
    clock.now = 31

    assert watch.refresh() == "unconfirmed"
    assert watch.config is OLD
    assert watch.is_stale


@pytest.mark.parametrize(("may_repeat", "kept"), [(False, NEW), (True, OLD)])
def test_a_version_that_was_left_behind_is_old_data(watch, store, may_repeat, kept):
    store.may_repeat_versions = may_repeat
    store.config = NEW
    watch.refresh()

    store.config = OLD
    watch.refresh()

    assert watch.config is kept


def test_a_confirmed_map_is_young_again(watch, clock):
    clock.now = 31

    assert watch.refresh() == "same"
    assert watch.age_s == 0


def test_a_slow_answer_counts_from_the_question(watch, store, clock):
    answer = store.version

    def slow():
        clock.now = 31
        return answer()

    store.version = slow
    watch.refresh()

    assert watch.is_stale


def test_the_store_is_asked_by_itself(store):
    watch = ConfigWatch(OLD, store, refresh_s=0.001)
    _ = watch.config

    assert store.asked.wait(20)
    watch.close()


def test_routing_goes_on_while_the_store_is_down(store):
    store.error = StoreError("down")

    with Cluster(OLD, store=store) as cluster:
        assert not cluster.refresh()
        assert cluster.shard_for("by_store", 42) == "s1"


def test_a_cluster_routes_by_the_new_map(store):
    with Cluster(OLD, store=store) as cluster:
        before = cluster.shard_for("by_store", 42)
        store.config = NEW
        cluster.refresh()

        assert {before, cluster.shard_for("by_store", 42)} == {"s1", "s2"}


def test_stale_reads_are_refused_where_asked(store):
    impatient = replace(OLD, map_max_age_s=1e-9)
    refused = pytest.raises(StaleMapError, match="last confirmed the map")

    with Cluster(impatient, store=store, stale_reads="refuse") as cluster, refused:
        cluster.connection("by_store", 42, read_only=True)


def test_operations_on_an_old_map_refuse_the_plan_of_a_new_one(store):
    store.config = NEW
    plan = Plan(
        operation="prune", shard="s1", mapping="by_store", config_version="2", proof=True,
        batch_rows=1, steps=(),
    )  # fmt: skip

    with Operations(OLD, store=store) as operations, pytest.raises(StalePlanError):
        operations.apply(plan)


def test_operations_refuse_to_start_without_the_store(store):
    store.error = StoreError("down")
    plan = Plan(
        operation="prune", shard="s1", mapping="by_store", config_version="1", proof=True,
        batch_rows=1, steps=(),
    )  # fmt: skip

    with Operations(OLD, store=store) as operations, pytest.raises(StoreError):
        operations.apply(plan)
