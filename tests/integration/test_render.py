"""One conversation for a person: whole, readable, and harmless whatever was said."""

from __future__ import annotations

import base64
import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from convstore import InvalidInputError, SessionNotFoundError, Store

PICTURE = "data:image/png;base64,iVBORw0KGgo="
EVIL = (
    "<script>alert(1)</script> <img src=x onerror=alert(2)> [x](javascript:alert(3)) "
    "![y](http://x/y.png) \x1b[31m \u202e &lt;\n# heading\n```\nopen"
)


async def filled(store: Store) -> None:
    await store.sessions.get_or_create("s-1", user_id="u-1")
    await store.sessions.update("s-1", title="<b>Kaart</b>")
    await store.turns.append("s-1", role="user", content="Waar is het archief?")
    call = {"type": "function", "id": "c", "function": {"name": "f", "arguments": "{}"}}
    thought = {"type": "reasoning", "text": "Ik denk na."}
    await store.turns.append("s-1", role="assistant", parts=[thought, call])
    await store.turns.append("s-1", role="tool", content=EVIL, tool_call_id="c")
    image = {"type": "image_url", "image_url": {"url": PICTURE}}
    said = {"type": "text", "text": "Op de markt."}
    turn = await store.turns.append("s-1", role="assistant", parts=[said, image])
    await store.interactions.record(
        "s-1", action="feedback", turn_seq=turn.seq, feedback="correct", actor_id="<i>"
    )
    await store.turns.append("s-1", role="assistant", content="Elders.", parent_seq=3)


@pytest.mark.parametrize("form", ["markdown", "html", "json", "text", "chatgpt"])
async def test_a_page_has_what_was_said_live_and_archived(
    store: Store, form: str
) -> None:
    await filled(store)
    live = await store.render("s-1", form)
    await store.run_retention(older_than_s=0)

    archived = await store.render("s-1", form)

    assert "Waar is het archief?" in live
    assert "Elders." in live
    if form == "json":
        assert json.loads(archived)["turns"] == json.loads(live)["turns"]
    else:
        assert archived == live
    assert (await store.sessions.get("s-1")).state == "archived"


async def test_a_conversation_goes_to_other_tools_and_comes_in_the_same(
    store: Store, tmp_path: Path
) -> None:
    await filled(store)
    await store.turns.append("s-1", role="user", content="En daarna?")
    path = tmp_path / "conversations.json"
    path.write_text(await store.render("s-1", "chatgpt"))
    other = store.for_tenant("other")

    report = await other.import_("auto", path)

    assert (report.format, report.sessions, report.rejected_total) == ("chatgpt", 1, 0)
    session = await other.sessions.get("s-1")
    assert (session.title, session.branched) == ("<b>Kaart</b>", True)
    told = [(t.role, t.content) for t in await other.turns.branch("s-1")]
    assert told == [
        ("user", "Waar is het archief?"),
        ("assistant", None),  # what was thought
        ("assistant", None),  # what was called
        ("tool", EVIL),
        ("assistant", "Elders."),
        ("user", "En daarna?"),
    ]
    family = await other.turns.children("s-1", [4])
    assert [turn.content for turn in family[4]] == ["Op de markt.\n[image]", "Elders."]


async def test_branches_come_on_request_with_what_they_follow(store: Store) -> None:
    await filled(store)

    assert "Op de markt." not in await store.render("s-1", "text")
    page = await store.render("s-1", "text", branches=True)

    assert "Op de markt." in page
    assert "follows 3" in page
    assert "feedback correct by <i>" in page


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


async def test_hostile_words_are_text_in_html(store: Store) -> None:
    await filled(store)

    page = await store.render("s-1", "html", branches=True, attachments=True)

    parser = _Tags()
    parser.feed(page)
    tags = {tag for tag, _ in parser.seen}
    assert tags <= set(
        "html head meta title style body h1 h2 p section pre img".split()
    )
    assert [a["src"] for tag, a in parser.seen if tag == "img"] == [PICTURE]
    assert not any(name.startswith("on") for _, a in parser.seen for name in a)
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "default-src 'none'" in page


async def test_pictures_are_shown_only_when_asked_for(store: Store) -> None:
    await filled(store)

    page = await store.render("s-1", "html", branches=True)

    assert "<img" not in page
    assert "[picture]" in page


async def test_files_are_embedded_when_asked_for_and_nothing_runs(
    store: Store,
) -> None:
    await store.sessions.get_or_create("s-1")
    data = base64.b64encode(b"<script>alert(1)</script>").decode()
    name = '"><script>](javascript:x) \x1b.html'
    file = {"file_data": f"data:text/html;base64,{data}", "filename": name}
    claude = {"type": "base64", "media_type": "image/png", "data": PICTURE[22:]}
    parts = [
        {"type": "text", "text": "Kijk"},
        {"type": "file", "file": file},
        {"type": "image", "source": claude},
        {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
        {"type": "image", "pointer": "sediment://file_1"},
    ]
    await store.turns.append("s-1", role="user", parts=parts)

    html = await store.render("s-1", "html", attachments=True)
    markdown = await store.render("s-1", "markdown", attachments=True)

    parser = _Tags()
    parser.feed(html)
    links = [found for tag, found in parser.seen if tag == "a"]
    saved = f"data:application/octet-stream;base64,{data}"
    assert [link["href"] for link in links] == [saved, saved]
    assert links[0]["download"] == "___script___javascript_x_ _.html"
    assert [found["src"] for tag, found in parser.seen if tag == "img"] == [PICTURE]
    assert "script" not in {tag for tag, _ in parser.seen}
    assert f"]({saved})" in markdown
    assert f"]({PICTURE})" in markdown
    assert markdown.count("](data:") == 3
    assert "](javascript" not in markdown.replace("\\]", "")
    assert "sediment://file_1" in markdown
    for form in ("html", "markdown", "text"):
        page = await store.render("s-1", form)
        assert "data:" not in page.replace("img-src data:", "")


async def test_hostile_words_start_no_markup_in_markdown(store: Store) -> None:
    await filled(store)

    page = await store.render("s-1", "markdown", branches=True)

    said = [line for line in page.splitlines() if "script" in line]
    assert said
    assert all("\\<script" in line for line in said)
    assert "](javascript" not in page.replace("\\]", "")
    assert page.count("```") % 2 == 0, "a fence that was left open is closed"


async def test_what_is_not_there_or_no_form_is_told(store: Store) -> None:
    with pytest.raises(SessionNotFoundError):
        await store.render("s-9")
    with pytest.raises(InvalidInputError, match="markdown, html"):
        await store.render("s-9", "pdf")
