from __future__ import annotations

import dataclasses

import pytest

from pool5.serve.hosts import Hosts
from pool5.serve.limits import Limits
from pool5.serve.rate import Rate

pytest.importorskip("starlette", reason="starlette is not installed: there is no service")
SECRET = "s3cret ä"


@pytest.fixture(scope="module")
def guarded(page_folder, client_of):
    return client_of(page_folder, token=SECRET)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:8000", 200),
        ("localhost.", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("10.0.0.1", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
    ],
)
def test_only_its_own_names_are_answered(client, host, status):
    answer = client.get("/api/store", headers={"Host": host})
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers


def test_further_names_and_addresses_are_answered_where_they_are_allowed():
    hosts = Hosts(frozenset({"pool.example"}), addresses=True)
    assert all(map(hosts.answers, ["pool.example:80", "10.0.0.1", "[2001:db8::1]:80", "localhost"]))
    assert not any(map(hosts.answers, ["evil.example", "pool.example.evil", "1.2.3", "::1::"]))


def test_every_answer_forbids_to_frame_to_sniff_and_to_read_from_elsewhere(client):
    for path in ("/api/store", "/api/nothing", "/", "/api/images/000005"):
        head = client.get(path).headers
        assert head["x-content-type-options"] == "nosniff"
        assert head["cross-origin-resource-policy"] == "same-origin"
        assert head["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in head["content-security-policy"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9"},
    ],
)
def test_the_page_of_another_site_may_not_ask(client, headers):
    assert client.post("/api/neighbors", json={"id": "000005"}, headers=headers).status_code == 403


def test_the_own_page_may_ask_and_others_may_link(client):
    own = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
    assert client.post("/api/neighbors", json={"id": "000005"}, headers=own).status_code == 200
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("/", headers=link).status_code == 200


@pytest.mark.parametrize("path", ["/", "/api/store", "/api/nothing", "/metrics", "/openapi.json"])
def test_without_the_token_there_is_nothing(guarded, path):
    answer = guarded.get(path)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    for wrong in ("Bearer wrong", "Bearer", f"Basic {SECRET}".encode(), b"Bearer \xff"):
        assert guarded.get(path, headers={"Authorization": wrong}).status_code == 401
    assert guarded.get("/healthz").status_code == 200


def test_a_program_shows_the_token_in_a_header(guarded):
    head = {"Authorization": f"bearer {SECRET}".encode()}
    assert guarded.get("/api/store", headers=head).status_code == 200


def test_a_browser_gets_a_cookie_for_it_that_scripts_do_not_see(guarded):
    answer = guarded.get("/", params={"token": SECRET, "id": "000005"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/?id=000005")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert SECRET not in cookie
    shown = {"Cookie": cookie.partition(";")[0]}
    guarded.cookies.clear()
    assert guarded.get("/api/store", headers=shown).status_code == 200
    assert guarded.get("/api/store").status_code == 401


def test_a_browser_without_it_is_asked_for_it_and_keeps_its_question(guarded):
    asked = {"id": '"><script>', "token": "wrong"}
    answer = guarded.get("/", params=asked, headers={"Accept": "text/html"})
    assert answer.status_code == 401
    assert 'type="password"' in answer.text
    assert 'value="&quot;&gt;&lt;script&gt;"' in answer.text
    assert "wrong" not in answer.text


def test_who_asks_too_often_is_told_when_to_come_again(page_folder, client_of):
    client = client_of(page_folder, limits=dataclasses.replace(Limits(), rate=0.5, burst=6))
    statuses = [client.get("/api/results").status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    answer = client.get("/api/results")
    assert answer.headers["retry-after"] == "2"
    assert client.get("/healthz").status_code == 200


def test_each_client_has_its_own_rate():
    rate = Rate(1, 2)
    assert [rate.wait("a") > 0 for _ in range(3)] == [False, False, True]
    assert rate.wait("b") == 0
    assert all(Rate(0, 10).wait("a") == 0 for _ in range(100))
