"""What reflection tells: the services of every protocol of the folder, and files that fit together."""

import pytest

from headway import plugins
from headway.protocols import Ask, Facts, Route, grpc_reflection
from headway.protocols._grpc import schemas
from headway.protocols._protobuf import read, write

FACTS = Facts({}, {}, True, {}, "0.1.0")


def routes() -> list[Route]:
    """gRPC's methods."""
    modules = (plugins.load("protocols", name) for name in plugins.names("protocols"))
    return [route for module in modules for route in module.ROUTES if route.method == "GRPC"]


def reflected(**asked: str) -> dict[str, object]:
    body = write(grpc_reflection._REQUEST, asked)
    reply = grpc_reflection.answer(Ask("reflect", "", "", body, {}), FACTS)
    return read(grpc_reflection._RESPONSE, reply.body)


def test_all_services_with_a_route_are_listed_in_order() -> None:
    found = reflected(list_services="*")["list_services_response"]
    assert isinstance(found, dict)
    names = [service["name"] for service in found["service"]]
    assert names == sorted({route.path.split("/")[1] for route in routes()})


@pytest.mark.parametrize("route", routes(), ids=lambda r: r.path)
def test_every_method_is_found_in_a_file(route: Route) -> None:
    symbol = route.path[1:].replace("/", ".")
    found = reflected(file_containing_symbol=symbol)
    assert "file_descriptor_response" in found, symbol


def test_files_of_one_name_are_the_same_in_all_protocols() -> None:
    files = [pair for schema in schemas() for pair in schema.descriptors().items()]
    assert len(set(files)) == len(dict(files))
