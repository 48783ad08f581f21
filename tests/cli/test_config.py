"""``config validate`` and ``config show`` through the real command."""

from command_line import SHOP, Run, Shop


def test_valid_configuration_is_counted(run: Run, shop: Shop) -> None:
    ended = run("config", "validate")

    assert ended.exit_code == 0
    assert ended.stdout == "shardhash.yaml is valid: 1 instance, 2 shards, 1 mapping\n"


def test_every_mistake_is_told_with_its_line(run: Run, shop: Shop) -> None:
    text = SHOP.replace("instance: disk, database: shop_2", "instance: dusk, database: shop_2")
    (shop.directory / "shardhash.yaml").write_text(text.replace("8-15", "9-15"))

    ended = run("config", "validate")

    assert ended.exit_code == 3
    assert "shardhash.yaml:7:" in ended.stderr
    assert "shardhash.yaml:12:" in ended.stderr


def test_configuration_is_found_by_option_then_environment_then_directory(
    run: Run, shop: Shop
) -> None:
    (shop.directory / "shardhash.yaml").rename(shop.directory / "other.yaml")

    assert run("config", "validate").exit_code == 2
    assert run("config", "validate", env={"SHARDHASH_CONFIG": "other.yaml"}).exit_code == 0
    assert run("--config", "other.yaml", "config", "validate").exit_code == 0
    assert run("config", "validate", "--config", "other.yaml").exit_code == 0


def test_show_names_instances_shards_and_mappings(run: Run, shop: Shop) -> None:
    data = run("config", "show", "--json").envelope["data"]

    assert list(data["instances"]) == ["disk"]
    assert list(data["shards"]) == ["s1", "s2"]
    assert data["mappings"]["by_store"]["key"] == {"column": "store_id", "type": "int"}
