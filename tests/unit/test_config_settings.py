"""The settings table: layers, types, ranges, places, variables."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway import config
from headway.config import Entry, ModelSettings, ServerSettings
from headway.errors import ConfigError


def entry(value: Any, *, is_text: bool = False) -> Entry:
    return Entry(value, "`it` in headway.yaml, line 4", is_text=is_text)


def test_a_platform_says_where_it_looks_and_comes_before_what_an_image_holds() -> None:
    both = {"HEADWAY_PORT": "8080", "SAGEMAKER_BIND_TO_PORT": "9123"}
    layer = config.environment(ServerSettings, both)
    assert config.read(ServerSettings, layer).port == 9123
    flags = config.flags(ServerSettings, {"port": "7"})
    assert config.read(ServerSettings, layer, flags).port == 7
    empty = config.environment(ServerSettings, {**both, "SAGEMAKER_BIND_TO_PORT": ""})
    assert config.read(ServerSettings, empty).port == 8080
    wrong = config.environment(ServerSettings, {"SAGEMAKER_BIND_TO_PORT": "many"})
    with pytest.raises(ConfigError, match="`SAGEMAKER_BIND_TO_PORT` in the environment"):
        config.read(ServerSettings, wrong)


def test_without_layers_everything_has_its_default() -> None:
    assert config.read(ServerSettings) == ServerSettings()
    assert config.read(ModelSettings) == ModelSettings()


def test_a_later_layer_wins_over_an_earlier_one() -> None:
    file = {"port": entry(1), "host": entry("::1")}
    environment = config.environment(ServerSettings, {"HEADWAY_PORT": "2"})
    flags = config.flags(ServerSettings, {"port": "3", "host": None})
    assert config.read(ServerSettings, file).port == 1
    assert config.read(ServerSettings, file, environment).port == 2
    settings = config.read(ServerSettings, file, environment, flags)
    assert (settings.port, settings.host) == (3, "::1")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("max_batch", "x", "expected an integer from 1 to 65536, found 'x'"),
        ("max_batch", 0, "expected an integer from 1 to 65536, found 0"),
        ("max_batch", True, "expected an integer from 1 to 65536, found True"),
        ("max_batch", 2.0, "expected an integer from 1 to 65536, found 2.0"),
        ("max_batch", None, "expected an integer from 1 to 65536, found None"),
        ("max_queue", -1, "expected an integer ≥ 1, found -1"),
        ("timeout_s", 0, "expected a number ≥ 0.001, found 0"),
        ("timeout_s", float("nan"), "expected a number ≥ 0.001, found nan"),
        ("trusted", "yes", "expected true or false, found 'yes'"),
        ("trusted", 1, "expected true or false, found 1"),
        ("device", 1, "expected text, found 1"),
        ("device", "cpu\n", "expected text, found 'cpu\\n'"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(key: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.read(ModelSettings, {key: entry(value)})
    assert caught.value.message == f"`it` in headway.yaml, line 4: {message}."


def test_a_value_outside_of_the_choices_names_them() -> None:
    with pytest.raises(ConfigError, match="one of debug, info, warning, error, found 'loud'"):
        config.read(ServerSettings, {"log_level": entry("loud")})


@pytest.mark.parametrize(("table", "key"), [(ServerSettings, "host"), (ModelSettings, "device")])
def test_a_text_that_has_a_default_is_not_emptied(table: type, key: str) -> None:
    """An empty host would listen on every interface, as if it had been asked to."""
    with pytest.raises(ConfigError, match="expected text, found ''"):
        config.read(table, config.flags(table, {key: ""}))


def test_an_integer_is_a_number_too() -> None:
    assert config.read(ModelSettings, {"timeout_s": entry(5)}).timeout_s == 5.0


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("1", True), ("False", False), ("0", False)]
)
def test_a_variable_can_hold_a_boolean(text: str, value: bool) -> None:
    layer = config.environment(ModelSettings, {"HEADWAY_TRUSTED": text})
    assert config.read(ModelSettings, layer).is_trusted is value


@pytest.mark.parametrize(
    "text", ["1e3", "0x10", "1_000", " 1", "\u0661", "--1", "9" * 5000, "nan", "1.0"]
)
def test_text_that_is_no_plain_integer_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="`HEADWAY_PORT` in the environment: expected an integer"):
        config.read(ServerSettings, config.environment(ServerSettings, {"HEADWAY_PORT": text}))


@pytest.mark.parametrize("value", ["1e3", "2.5E-1", "1e+2"])
def test_a_number_with_an_exponent_is_refused_and_told_why(value: str) -> None:
    for is_text in (True, False):  # a variable, and YAML's 1e3, which is a text there
        layer = {"timeout_s": Entry(value, "here", is_text=is_text)}
        with pytest.raises(ConfigError, match=r"a number .*written without an exponent, found '"):
            config.read(ModelSettings, layer)


@pytest.mark.parametrize("value", [1e300, 10**400, float("inf"), float("nan"), True])
def test_a_number_that_no_clock_holds_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="expected a number"):
        config.read(ModelSettings, {"timeout_s": entry(value)})


@given(st.text(max_size=30), st.sampled_from(config.rows(ModelSettings)))
def test_any_text_is_a_setting_or_a_config_error(text: str, row: config.Row) -> None:
    layer = {row.key: Entry(text, "here", is_text=True)}
    with contextlib.suppress(ConfigError):
        assert isinstance(config.read(ModelSettings, layer), ModelSettings)


def test_an_unknown_key_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="no such setting; the nearest is `max_batch`"):
        config.read(ModelSettings, {"max_bacth": entry(1)})


def test_a_key_like_no_other_lists_them_all() -> None:
    with pytest.raises(
        ConfigError,
        match="known: cache_bytes, cache_ttl_s, compress_bytes, device, fetch_urls, hang_kill_s",
    ):
        config.read(ModelSettings, {"zzz": entry(1)})


def test_an_unknown_variable_is_refused_with_the_nearest_one() -> None:
    config.check_environment({"HEADWAY_PORT": "1", "HEADWAY_WORKERS": "2", "PATH": "/bin"})
    with pytest.raises(ConfigError, match="the nearest is `HEADWAY_WORKERS`"):
        config.check_environment({"HEADWAY_WROKERS": "2"})


def test_an_empty_variable_counts_as_not_set() -> None:
    assert config.environment(ServerSettings, {"HEADWAY_PORT": ""}) == {}


def test_the_links_of_a_kubernetes_service_called_headway_are_no_settings() -> None:
    links = {
        "HEADWAY_SERVICE_HOST": "10.0.0.1",
        "HEADWAY_SERVICE_PORT": "80",
        "HEADWAY_SERVICE_PORT_HTTP": "80",
        "HEADWAY_PORT": "tcp://10.0.0.1:80",
        "HEADWAY_PORT_80_TCP": "tcp://10.0.0.1:80",
        "HEADWAY_PORT_80_TCP_PROTO": "tcp",
        "HEADWAY_PORT_80_TCP_PORT": "80",
        "HEADWAY_PORT_80_TCP_ADDR": "10.0.0.1",
        "HEADWAY_CANARY_SERVICE_HOST": "10.0.0.2",
    }
    config.check_environment(links)
    assert config.environment(ServerSettings, links) == {}


def test_the_process_environment_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_MAX_BATCH", "7")
    layer = config.environment(ModelSettings)
    assert config.read(ModelSettings, layer).max_batch == 7


@pytest.mark.parametrize(
    ("given_key", "missing"), [("tls_certificate", "tls_key"), ("tls_key", "tls_certificate")]
)
def test_half_of_tls_is_refused(given_key: str, missing: str) -> None:
    with pytest.raises(ConfigError, match=f"`{given_key}`: TLS needs `{missing}` too"):
        config.read(ServerSettings, {given_key: entry("a.pem")})


def test_users_see_no_prefix_that_python_reads_by() -> None:
    (row,) = (row for row in config.rows(ModelSettings) if row.field == "is_trusted")
    assert (row.key, row.flag, row.variable) == ("trusted", "--trusted", "HEADWAY_TRUSTED")


def test_no_two_rows_share_a_key() -> None:
    keys = [row.key for table in (ServerSettings, ModelSettings) for row in config.rows(table)]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("table", [ServerSettings, ModelSettings])
def test_every_default_is_allowed_by_its_own_row(table: type) -> None:
    layer = {
        row.key: entry(row.default) for row in config.rows(table) if row.default not in (None, "")
    }
    assert config.read(table, layer) == table()


@pytest.mark.parametrize(
    "hosts",
    [
        "",
        "*",
        "models.example.org",
        "a, b.c ,",
        "xn--bcher-kva.example.",
        "10.0.0.1",
        "a_b",
        "[::1], a",
    ],
)
def test_hosts_are_names(hosts: str) -> None:
    assert config.read(ServerSettings, {"hosts": entry(hosts)}).hosts == hosts


@pytest.mark.parametrize(
    "hosts",
    [
        "models.example.org:8000",
        "http://models.example.org",
        "a, b:1",
        "a/b",
        "*.example.org",
        "a b",
        "a..b",
        "-a",
        "[::1]:80",
        "::1",
        "[a.example]",
        "bücher.example",
        "a" * 64,
    ],
)
def test_hosts_with_a_port_or_a_url_are_refused_with_their_place(hosts: str) -> None:
    with pytest.raises(ConfigError, match="without scheme, port and path, found"):
        config.read(ServerSettings, {"hosts": entry(hosts)})


def test_a_platforms_variables_come_before_ours_and_after_flags() -> None:
    told = {"AIP_HTTP_PORT": "8080", "HEADWAY_PORT": "2"}
    layer = config.environment(ServerSettings, told)
    settings = config.read(ServerSettings, layer)
    assert (settings.host, settings.port, settings.aliases) == ("0.0.0.0", 8080, "")
    flags = config.flags(ServerSettings, {"port": "3"})
    assert config.read(ServerSettings, layer, flags).port == 3
    with pytest.raises(ConfigError, match="`AIP_HTTP_PORT` in the environment"):
        config.read(ServerSettings, config.environment(ServerSettings, {"AIP_HTTP_PORT": "http"}))


def test_vertex_says_at_which_paths_its_container_is_asked() -> None:
    told = {
        "AIP_HTTP_PORT": "8080",
        "AIP_HEALTH_ROUTE": "/health",
        "AIP_PREDICT_ROUTE": "/predict",
        "HEADWAY_ALIASES": "/a=/b",
        "HEADWAY_HOST": "::1",
    }
    settings = config.read(ServerSettings, config.environment(ServerSettings, told))
    assert settings.host == "::1"
    predict = "/v1/endpoints/0/deployedModels/0:predict"
    assert settings.aliases == f"/health=/health/ready,/predict={predict},/a=/b"
    own = {**told, "AIP_HEALTH_ROUTE": "/health/ready", "AIP_PREDICT_ROUTE": predict}
    settings = config.read(ServerSettings, config.environment(ServerSettings, own))
    assert settings.aliases == "/a=/b"
    without = {name: value for name, value in told.items() if name != "AIP_HTTP_PORT"}
    assert "host" in config.environment(ServerSettings, without)
    assert (
        config.read(ServerSettings, config.environment(ServerSettings, without)).aliases == "/a=/b"
    )


@pytest.mark.parametrize("text", ["/a", "a=/b", "/a=b", "/a?b=/c", "/a=/b=/c"])
def test_an_alias_that_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="`--aliases`"):
        config.read(ServerSettings, config.flags(ServerSettings, {"aliases": text}))
