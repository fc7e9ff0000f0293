"""The API's other forms: CSV, Prometheus' text, and the OpenAPI document, held against what the API answers."""

from __future__ import annotations

import csv
import io

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.routing import Route

from cloud_sync.receiver.csv_export import csv_text
from cloud_sync.receiver.port import GapRow
from tests.cloud_sync.receiver.test_platform_api import TOKEN, Bench, bench
from tests.cloud_sync.samples import alarm, minute, night

__all__ = ["bench"]


def test_alarms_as_csv_are_the_rows_of_the_json(bench: Bench) -> None:
    bench.take(alarm())
    client = bench.client()
    (plain,) = client.get("/api/alarms").json()["alarms"]
    answer = client.get("/api/alarms", params={"format": "csv"})
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert row == {name: "" if value is None else str(value) for name, value in plain.items()}


def test_a_table_without_rows_has_its_header(bench: Bench) -> None:
    text = bench.client().get("/api/gaps", params={"format": "csv"}).text
    assert text == "gateway,epoch,lane,first_seq,last_seq,reason\r\n"


def test_a_label_that_begins_like_a_formula_is_text_in_a_spreadsheet() -> None:
    text = csv_text(GapRow, [GapRow("=1+1", "e", "vitals", 1, 2, 'a "b", c')])
    assert next(csv.reader(io.StringIO(text.splitlines()[1]))) == ["'=1+1", "e", "vitals", "1", "2", 'a "b", c']


@pytest.mark.parametrize("path", ["/api/alarms", "/api/gaps", "/api/nights", "/api/devices"])
def test_a_format_that_is_none_is_a_bad_request(bench: Bench, path: str) -> None:
    assert bench.client().get(path, params={"format": "xml"}).status_code == 400


def test_metrics_are_read_by_prometheus_own_parser(bench: Bench) -> None:
    bench.take(minute())
    bench.take(minute())
    text = bench.client().get("/metrics").text
    samples = {one.name: one for family in text_string_to_metric_families(text) for one in family.samples}
    assert samples["sleepbelt_receiver_readings"].value == 60
    assert samples["sleepbelt_receiver_duplicates_total"].value == 1
    assert samples["sleepbelt_receiver_broker_connected"].value == 0
    assert samples["sleepbelt_receiver_database_committing"].value == 1
    assert samples["sleepbelt_receiver_gateway_heard_timestamp_seconds"].labels == {"gateway": "gw-01"}


@pytest.mark.parametrize("path", ["/metrics", "/api/openapi.json"])
def test_metrics_and_document_need_the_token(bench: Bench, path: str) -> None:
    client = bench.client(TOKEN, is_open=False)
    assert client.get(path).status_code == 401
    assert client.get(path, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_the_document_names_every_path_of_the_api(bench: Bench) -> None:
    document = bench.client().get("/api/openapi.json").json()
    routes = [route for route in bench.app().routes if isinstance(route, Route)]
    assert set(document["paths"]) == {route.path for route in routes}
    assert all(route.methods == {"GET", "HEAD"} for route in routes)
    assert all(set(path) == {"get"} for path in document["paths"].values())


def test_nights_and_minutes_as_csv_are_the_rows_of_the_json_without_the_report(bench: Bench) -> None:
    bench.take(night(), minute())
    client = bench.client()
    for path, table in (("/api/nights", "nights"), ("/api/residents/r-wang/nights", "nights"),
                        ("/api/residents/r-wang/minutes", "minutes")):  # fmt: skip
        (plain,) = client.get(path).json()[table]
        plain.pop("report", None)
        (row,) = csv.DictReader(io.StringIO(client.get(path, params={"format": "csv"}).text))
        assert row == {name: "" if value is None else str(value) for name, value in plain.items()}
