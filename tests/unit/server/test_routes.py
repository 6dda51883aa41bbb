"""The route tree: what a path finds, for any path that a client can send."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import MethodNotAllowed, UnknownPath
from headway.protocols import Route
from headway.server.routes import Routes, is_name

PREDICT = Route("POST", "/models/{model}/predict", "predict")
VERSION = Route("GET", "/models/{model}/versions/{version}", "describe")
DESCRIBE = Route("GET", "/models/{model}", "describe")
STATS = Route("GET", "/models/stats", "stats")
OTHER = Route("GET", "/other/{model}", "model")
ROUTES = Routes({"one": [PREDICT, VERSION, DESCRIBE, STATS], "two": [OTHER]})

NAMES = st.text(string.ascii_letters + string.digits, min_size=1, max_size=128)
SEGMENTS = st.one_of(
    NAMES,
    st.text(max_size=8),
    st.sampled_from(["models", "other", "predict", "versions", "..", "%2e%2e%2f", "%ff", "%", ""]),
)
PATHS = st.one_of(st.text(), st.lists(SEGMENTS).map("/".join), st.lists(SEGMENTS).map("/".join))


@given(st.sampled_from(["GET", "HEAD", "POST", "BREW", ""]), PATHS, st.booleans())
def test_any_path_is_found_or_refused_in_one_of_two_ways(
    method: str, path: str, is_rooted: bool
) -> None:
    try:
        found = ROUTES.find(method, "/" + path if is_rooted else path)
    except (UnknownPath, MethodNotAllowed):
        return
    assert is_name(found.model) or "{model}" not in found.route.path
    assert is_name(found.version) or "{version}" not in found.route.path


@given(PATHS)
def test_any_path_has_a_dialect(path: str) -> None:
    assert ROUTES.dialect(path, "default") in {"one", "two", "default"}


@given(NAMES, NAMES)
def test_holes_hold_what_the_path_says(model: str, version: str) -> None:
    found = ROUTES.find("GET", f"/models/{model}/versions/{version}")
    assert (found.codec, found.route, found.model, found.version) == (
        *("one", VERSION),
        *(model, version),
    )
    encoded = "".join(f"%{ord(c):02x}" for c in model)
    assert ROUTES.find("POST", f"/models/{encoded}/predict").model == model


def test_literal_beats_template_and_template_takes_the_rest() -> None:
    assert ROUTES.find("GET", "/models/stats").route is STATS
    assert ROUTES.find("GET", "/models/stat").route is DESCRIBE
    assert ROUTES.find("POST", "/models/stats/predict").model == "stats"


@pytest.mark.parametrize(
    "name",
    [
        *("..", ".", "a..b", "%2e%2e", "%2e%2e%2f", "..%2f..%2fetc", "a%2fb", "a%00", "a\0", "%00"),
        *(
            "",
            "a" * 200,
            "a" * 129,
            "-a",
            "%252e",
            "a%20b",
            "a\n",
            "a%0a",
            "%C3%A4",
            "%ff",
            "{model}",
        ),
    ],
)
def test_what_is_no_name_is_not_found(name: str) -> None:
    for path in (f"/models/{name}", f"/models/{name}/versions/1", f"/models/a/versions/{name}"):
        with pytest.raises(UnknownPath):
            ROUTES.find("GET", path)


def test_head_finds_what_get_does_and_others_are_told_what_is_allowed() -> None:
    assert ROUTES.find("HEAD", "/models/a").route is DESCRIBE
    with pytest.raises(MethodNotAllowed) as caught:
        ROUTES.find("GET", "/models/a/predict")
    assert caught.value.fields["allow"] == "POST"


def test_two_protocols_can_not_claim_one_route() -> None:
    with pytest.raises(ValueError, match="claimed by two"):
        Routes({"one": [OTHER], "two": [OTHER]})


def test_dialect_is_that_of_the_first_segment() -> None:
    assert ROUTES.dialect("/other/of/nothing", "one") == "two"
    assert ROUTES.dialect("/elsewhere", "one") == "one"


def test_a_verb_is_part_of_its_segment_and_the_deepest_owner_tells_an_error() -> None:
    ask = Route("POST", "/v1/models/{model}:ask", "ask")
    labelled = Route("POST", "/v1/models/{model}/labels/{label}:ask", "ask")
    embed = Route("POST", "/v1/embed", "ask")
    routes = Routes({"one": [ask, labelled], "two": [embed]})
    assert routes.find("POST", "/v1/models/a.b-c:ask").model == "a.b-c"
    assert routes.find("POST", "/v1/models/a/labels/new:ask").others == {"label": "new"}
    for path in ("/v1/models/a", "/v1/models/:ask", "/v1/models/a:b:ask", "/v1/models/a:asks"):
        with pytest.raises(UnknownPath):
            routes.find("POST", path)
    assert routes.dialect("/v1/embed/more", "native") == "two"
    assert routes.dialect("/v1/models/a:ask", "native") == "one"
    assert routes.dialect("/elsewhere", "native") == "native"


def test_of_two_that_fit_the_fewest_holes_win_then_a_model_that_is_served() -> None:
    tables = {
        "ids": (Route("PUT", "/asked/{id}", "ask"), Route("PUT", "/asked/{id}/stop", "stop")),
        "models": (
            Route("PUT", "/asked/{model}", "ask"),
            Route("PUT", "/asked/{model}/{version}", "ask"),
        ),
    }
    routes = Routes(tables)
    assert routes.find("PUT", "/asked/m", {"m"}).model == "m"
    assert routes.find("PUT", "/asked/x", {"m"}).others == {"id": "x"}
    assert routes.find("PUT", "/asked/m/stop", {"m"}).route.op == "stop"
    assert routes.find("PUT", "/asked/m/1", {"m"}).version == "1"


def test_where_no_operator_asks_his_methods_are_none_of_a_path_that_others_ask() -> None:
    load = Route("POST", "/models/{model}/load", "load", is_admin=True)
    end = Route("DELETE", "/models/{model}", "end", is_admin=True)
    tables = {"one": [DESCRIBE], "two": [load, end]}
    assert Routes(tables).find("DELETE", "/models/a").route is end
    routes = Routes(tables, has_admin=False)
    assert routes.find("POST", "/models/a/load").route is load, "it is told where it is answered"
    with pytest.raises(MethodNotAllowed) as caught:
        routes.find("DELETE", "/models/a")
    assert caught.value.fields["allow"] == "GET"
    assert routes.dialect("/models/a", "native", "DELETE") == "one"
