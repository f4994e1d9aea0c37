"""What older chats of Open WebUI have as HTML in the text of an answer. Pure."""

from __future__ import annotations

import html
import re

from convstore.imports.steps import Steps
from convstore.imports.talk import Said, Talk

_DETAILS = re.compile(
    r'<details type="(reasoning|tool_calls|code_interpreter)"([^>]*)>'
    r"(.*?)</details>\n?",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(r'([a-z_]+)="([^"]*)"')
_SUMMARY = re.compile(r"<summary>.*?</summary>\n?", re.DOTALL)


def cut_details(talk: Talk, text: str) -> list[Said]:
    """What older chats have as HTML in the text of an answer, cut out again."""
    steps = Steps(talk)
    at = 0
    for number, found in enumerate(_DETAILS.finditer(text)):
        if text[at : found.start()].strip():
            steps.text(text[at : found.start()])
        at = found.end()
        kind = found[1]
        attributes: dict[str, str] = dict(_ATTRIBUTE.findall(found[2]))
        inner = html.unescape(_SUMMARY.sub("", found[3])).strip()
        if kind == "reasoning":
            lines = [line.removeprefix("> ") for line in inner.split("\n")]
            steps.thought("\n".join(lines))
            continue
        call_id = attributes.get("id") or f"call-{number}"
        told = html.unescape(attributes.get("arguments", ""))
        name = html.unescape(attributes.get("name", kind))
        steps.call(call_id, name, inner if kind == "code_interpreter" else told)
        result = attributes.get("result", attributes.get("output"))
        if result is not None:
            steps.result(call_id, html.unescape(result))
    if text[at:].strip():
        steps.text(text[at:])
    return steps.finished()
