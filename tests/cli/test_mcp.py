"""`pool5 mcp`, asked over stdin and stdout by the protocol's own client."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import pool5
from pool5.project import Project
from pool5.questions.plain import plain
from tests.conftest import made_once
from tests.serve.page_project import make_page_project

pytest.importorskip("mcp.server.mcpserver", reason="mcp is not installed")

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.own_loop import run_alone

pytestmark = pytest.mark.slow
IMAGE = "000003"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return made_once(tmp_path_factory, "page", make_page_project)


class Agent:
    """Starts the server as an agent's program does, and calls tools in turn."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def calls(self, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
        return run_alone(self.session(lambda client: self._call(client, calls)))

    def call(self, tool: str, **arguments: Any) -> Any:
        (result,) = self.calls((tool, arguments))
        return result

    def tools(self) -> list[Any]:
        async def listed(client: Client) -> list[Any]:
            return (await client.list_tools()).tools

        return run_alone(self.session(listed))

    async def session(self, ask: Any) -> Any:
        server = StdioServerParameters(
            command=sys.executable, args=["-m", "pool5", "mcp"], cwd=self.folder, env=dict(os.environ)
        )
        async with Client(stdio_client(server)) as client:
            return await asyncio.wait_for(ask(client), 300)

    @staticmethod
    async def _call(client: Client, calls: Any) -> list[Any]:
        return [await client.call_tool(tool, arguments) for tool, arguments in calls]


@pytest.fixture
def agent(folder: Path) -> Agent:
    return Agent(folder)


def test_there_are_four_tools_and_none_changes_anything(agent):
    tools = {tool.name: tool for tool in agent.tools()}
    assert list(tools) == ["query", "show", "why", "results"]
    assert all(tool.annotations.read_only_hint for tool in tools.values())
    assert all(tool.description for tool in tools.values())


def test_a_query_gives_what_python_is_given_in_several_layers(agent, folder):
    store = pool5.open(folder)
    result = agent.call("query", ids=[IMAGE], layers=["net/pooled", "clip/image"], k=5)
    answers = store.ask(IMAGE, of=["net/pooled", "clip/image"], k=5)
    assert result.structured_content == {
        "answers": json.loads(json.dumps([plain(answer) for answer in answers])),
        "shared": answers.shared,
    }


def test_words_are_asked_in_a_process_of_their_own_and_leave_the_protocol_alone(agent, folder):
    result = agent.call("query", text=["a dog"], minus=["snow"], layers=["clip/image"], k=3)
    (answer,) = pool5.open(folder).ask(text="a dog", minus="snow", of="clip/image", k=3)
    (told,) = result.structured_content["answers"]
    assert [near["id"] for near in told["neighbors"]] == [near.id for near in answer.neighbors]


def test_show_tells_of_the_store_a_model_and_an_image(agent):
    store, model, image = agent.calls(
        ("show", {}), ("show", {"model": "net", "split": "train"}), ("show", {"image": IMAGE})
    )
    told = json.loads(store.content[0].text)
    assert [layer["layer"] for layer in told["layers"]][:2] == ["clip/block", "clip/image"]
    assert json.loads(model.content[0].text)["rows"] == 105
    about, picture = image.content
    assert json.loads(about.text)["id"] == IMAGE
    assert (picture.type, picture.mime_type) == ("image", "image/webp")


def test_why_and_results_tell_what_the_commands_and_the_records_do(agent, folder):
    why, names, record = agent.calls(
        ("why", {"model": "net"}), ("results", {}), ("results", {"name": "tsne/net/pooled"})
    )
    assert "pooled: every row is in the cache" in why.content[0].text
    assert names.content[0].text.splitlines() == ["maps/net/pooled/pca", "tsne/net/pooled"]
    assert record.content[0].text == Project(folder).result("tsne/net/pooled").read_text()


MISTAKES = [
    ("query", {"ids": ["00003"]}, "no image 00003 in split test (did you mean 0"),
    ("query", {"ids": [IMAGE], "layers": ["net/fc9"]}, "no layer net/fc9 is stored"),
    ("query", {"ids": [IMAGE], "k": 100_000}, "k is 100000; ask for 1 to 1000"),
    ("query", {}, "nothing to ask with"),
    ("query", {"image": "/dev/zero"}, "no image file /dev/zero"),
    ("show", {"model": "nets"}, "no features of nets"),
    ("show", {"image": "../../etc/passwd"}, "no image ../../etc/passwd"),
    ("results", {"name": "../../params"}, "no result ../../params"),
    ("why", {"model": "nets"}, "nets"),
]


def test_a_mistake_is_told_to_the_agent_in_one_line(agent):
    results = agent.calls(*((tool, arguments) for tool, arguments, _ in MISTAKES))
    for result, (_, _, told) in zip(results, MISTAKES, strict=True):
        assert result.is_error
        assert told in result.content[0].text
        assert "\n" not in result.content[0].text


def test_a_project_that_changes_underneath_is_noticed_at_the_next_question(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "project", symlinks=True)
    params = tmp_path / "project/params.yaml"

    async def asked(client: Client) -> list[str]:
        told = []
        for more in ("", "index: {metric: l2}\n"):
            params.write_text(params.read_text() + more)
            answer = await client.call_tool("query", {"ids": [IMAGE], "layers": ["net/pooled"]})
            told.append(answer.structured_content["answers"][0]["metric"])
        return told

    agent = Agent(tmp_path / "project")
    assert run_alone(agent.session(asked)) == ["cosine", "l2"]


def test_nothing_stored_is_told_in_one_line(tmp_path, monkeypatch, capsys):
    from pool5.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pool5", "mcp"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("pool5: params.yaml")
