"""One conversation as a page for a person: Markdown, HTML or plain text. Pure.

What people and models said is text and nothing else: it starts no markup of its own,
loads nothing and runs nothing, whatever it contains.
"""

from __future__ import annotations

import html
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from convstore.messages.attached import inlined
from convstore.messages.media import PICTURE_TYPES, Media, media_of
from convstore.messages.parts import (
    call_of,
    kind_of,
    result_of,
    text_of,
    thought_of,
)
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.record import Value
from convstore.vocabulary.records import (
    Interaction,
    Json,
    JsonObject,
    SessionDocument,
    Turn,
)

FORMS = ("markdown", "html", "json", "text", "chatgpt")
# Controls, and marks that turn the order of text around; line ends and tabs stay.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
)
_PICTURE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]+")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_MARKUP = re.compile(r"[<&\[\]!\\]")
_FILE_NAME = re.compile(r"[^\w. -]|^[. ]+")
_ANY_TYPE = "application/octet-stream"
_MOST_ARGUMENTS = 4_000


class Block(Value, frozen=True):
    """One piece of a turn: `kind` is text, thought, call, result, picture or file.

    `url` holds the bytes of a picture or file that are there.
    """

    kind: str
    text: str
    url: str | None = None


class Entry(Value, frozen=True):
    """A turn as it is shown: its heading, its pieces, and what was said of it."""

    seq: int
    role: str
    heading: str
    blocks: tuple[Block, ...]
    judgements: tuple[str, ...]


def rendered(
    document: SessionDocument,
    form: str,
    *,
    branches: bool = False,
    attachments: bool = False,
) -> str:
    """The page of a conversation.

    Args:
        document: The whole session.
        form: One of `FORMS`; `json` is the document itself, indented, and `chatgpt` a
            `conversations.json` with all branches, as other tools take it in.
        branches: All turns, each with what it follows; else the active branch.
        attachments: In HTML and Markdown, embed what the turns have the bytes of:
            pictures as such, other files as links that save them.

    Raises:
        InvalidInputError: No such form.
    """
    check_form(form)
    if form == "json":
        from convstore.vocabulary.documents import encode_document

        return encode_document(document, indent=True).decode()
    if form == "chatgpt":
        from convstore.messages.chatgpt_export import as_chatgpt

        return dumps(as_chatgpt(document), indent=True).decode() + "\n"
    entries = list(_entries(inlined(document), branches=branches))
    title = _clean(document.session.title or document.session.id)
    return _PAGES[form](title, _facts(document), entries, attachments)


def check_form(form: str) -> None:
    """Refuse a form that there is not.

    Raises:
        InvalidInputError: It lists those there are.
    """
    if form not in FORMS:
        raise InvalidInputError("form", f"must be one of {', '.join(FORMS)}")


def _clean(text: str) -> str:
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text)


def _line(text: object) -> str:
    return " ".join(_clean(str(text)).split())


def _facts(document: SessionDocument) -> str:
    session = document.session
    told = [
        f"session {session.id}",
        *([f"user {session.user_id}"] if session.user_id else []),
        f"{session.created_at:%Y-%m-%d %H:%M} UTC",
        f"{session.turn_count} turns",
        *([f"tags {', '.join(session.tags)}"] if session.tags else []),
    ]
    return _line(" · ".join(told))


def _entries(document: SessionDocument, *, branches: bool) -> Iterator[Entry]:
    acts: defaultdict[int, list[Interaction]] = defaultdict(list)
    for act in document.interactions:
        if act.turn_seq is not None:
            acts[act.turn_seq].append(act)
    before: int | None = None
    for turn in document.turns if branches else path_of(document):
        follows = turn.parent_seq
        yield Entry(
            turn.seq,
            turn.role,
            _heading(turn, follows if follows != before else -1),
            tuple(_blocks(turn)),
            tuple(map(_judgement, acts[turn.seq])),
        )
        before = turn.seq


def path_of(document: SessionDocument) -> list[Turn]:
    """The turns of the active branch, oldest first."""
    turns = {turn.seq: turn for turn in document.turns}
    path: list[Turn] = []
    seq = document.session.head_seq
    while seq is not None:
        path.append(turns[seq])
        seq = turns[seq].parent_seq
    return path[::-1]


def _heading(turn: Turn, follows: int | None) -> str:
    told = [f"{turn.seq} {turn.role}"]
    if turn.name:
        told.append(turn.name)
    told.append(f"{turn.created_at:%Y-%m-%d %H:%M}")
    if turn.model:
        told.append(turn.model)
    if follows != -1:
        told.append("begins anew" if follows is None else f"follows {follows}")
    for mark in ("hidden", "error"):
        if turn.metadata.get(mark):
            told.append(mark)
    return _line(" · ".join(told))


def _blocks(turn: Turn) -> Iterator[Block]:
    parts = turn.parts or []
    in_parts = any(kind_of(part) == "text" for part in parts)
    thoughts = [part for part in parts if kind_of(part) == "thought"]
    for part in thoughts:
        yield Block("thought", _clean(thought_of(part) or ""))
    if turn.content and not in_parts:
        yield Block("text", _clean(turn.content))
    for part in parts:
        if kind_of(part) != "thought":
            yield from _block(part)


def _block(part: Json) -> Iterator[Block]:
    kind = kind_of(part)
    if kind in ("text", "refusal"):
        yield Block("text", _clean(text_of(part) or ""))
    elif kind == "call":
        call = call_of(part)
        yield Block("call", _clean(f"{call.name} {_told(call.arguments)}"))
    elif kind == "result":
        yield Block("result", _clean(_told(result_of(part).content)))
    elif kind == "image":
        yield Block("picture", _named(part), _picture(part))
    elif isinstance(part, dict):
        whole = kind in ("audio", "file")
        yield Block("file", _named(part), _file(part) if whole else None)


def _told(value: Json) -> str:
    text = value if isinstance(value, str) else dumps(value).decode()
    return text if len(text) <= _MOST_ARGUMENTS else f"{text[:_MOST_ARGUMENTS]}…"


def _named(part: JsonObject) -> str:
    name = ""
    for source in (part, part.get("file"), part.get("pointed")):
        if isinstance(source, dict) and not name:
            keys = ("name", "filename", "title", "pointer", "transcript")
            name = next((n for k in keys if isinstance(n := source.get(k), str)), "")
    return _line(f"{part.get('type')} {name}")


def _picture(part: JsonObject) -> str | None:
    found = media_of(part)
    if isinstance(found, Media) and found.data and found.media_type in PICTURE_TYPES:
        return f"data:{found.media_type};base64,{found.data}"
    url = part.get("image_url") or part.get("url")
    if isinstance(url, dict):
        url = url.get("url")
    if isinstance(url, str) and _PICTURE.fullmatch(url):
        return "".join(url.split())
    return None


def _file(part: JsonObject) -> str | None:
    """The bytes of a file, of no type: whoever saves it sees what it is, and no reader
    of the page runs it."""
    heard = part.get("input_audio")
    found = media_of({"file": heard} if isinstance(heard, dict) else part)
    if not (isinstance(found, Media) and found.data):
        return None
    return f"data:{_ANY_TYPE};base64,{found.data}"


def _judgement(act: Interaction) -> str:
    told = [act.action, act.feedback, act.reason]
    if act.score is not None:
        told.append(f"{act.score:g}")
    by = act.actor_id if act.actor_id is not None else act.actor_kind
    text = " ".join(word for word in told if word)
    comment = f": {act.content}" if act.content else ""
    return _line(f"{text} by {by}{comment}")


# Markdown


def _markdown(
    title: str, facts: str, entries: Sequence[Entry], attachments: bool
) -> str:
    lines = [f"# {_marked(_line(title))}", "", _marked(facts)]
    for entry in entries:
        lines += ["", f"## {_marked(entry.heading)}", ""]
        for block in entry.blocks:
            if block.kind != "text":
                lines += [f"> *{block.kind}*", ">"]
            if attachments and block.url is not None:
                shown = "!" if block.kind == "picture" else ""
                lines += [f"> {shown}[{_marked(block.text)}]({block.url})", ""]
                continue
            lines += [f"> {line}".rstrip() for line in _quoted(block)]
            lines.append("")
        lines += [f"* {_marked(judgement)}" for judgement in entry.judgements]
    return "\n".join(lines).rstrip() + "\n"


def _marked(text: str) -> str:
    """Text that starts no markup: no tags, no links and no pictures."""
    return _MARKUP.sub(lambda found: f"\\{found[0]}", text)


def _quoted(block: Block) -> Iterator[str]:
    """The lines of a block. Code in fences is left as it is, and closed where it is
    not: what follows must not be taken for code."""
    if block.kind in ("call", "result"):
        fence = "`" * max(3, _longest_run(block.text) + 1)
        yield from (fence, *block.text.splitlines(), fence)
        return
    fence = ""
    for line in block.text.splitlines():
        found = _FENCE.match(line)
        if fence:
            if (
                found
                and found[1].startswith(fence)
                and not line.strip().strip(fence[0])
            ):
                fence = ""
            yield line
        elif found:
            fence = found[1]
            yield line
        else:
            yield _marked(line)
    if fence:
        yield fence


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


# HTML

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46em;margin:2em auto;"
    "padding:0 1em;color:#222;background:#fff}h1{font-size:1.4em}"
    "section{border-left:4px solid #bbb;margin:1em 0;padding:.2em 1em}"
    ".user{border-color:#3a7}.assistant{border-color:#37a}.tool{border-color:#a73}"
    "h2{font-size:.85em;color:#666;margin:.4em 0}pre{white-space:pre-wrap;"
    "overflow-wrap:anywhere;font:inherit;margin:.4em 0}.thought,.call,.result,.file"
    "{color:#666;font-size:.9em}.call,.result{font-family:monospace}"
    "img{max-width:100%}footer,p{color:#666;font-size:.85em}"
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def _html(title: str, facts: str, entries: Sequence[Entry], attachments: bool) -> str:
    told = html.escape
    sections = []
    for entry in entries:
        kind = entry.role if entry.role in ("user", "assistant", "tool") else "other"
        inner = [f"<h2>{told(entry.heading)}</h2>"]
        inner += [_element(block, attachments) for block in entry.blocks]
        inner += [f"<p>{told(judgement)}</p>" for judgement in entry.judgements]
        joined = "\n".join(inner)
        sections.append(f'<section class="{kind}">\n{joined}\n</section>')
    page = "\n".join(sections)
    return (
        '<!doctype html>\n<html lang="">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{told(_line(title))}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f'<body dir="auto">\n<h1>{told(_line(title))}</h1>\n<p>{told(facts)}</p>\n'
        f"{page}\n</body>\n</html>\n"
    )


def _element(block: Block, attachments: bool) -> str:
    if block.url is not None and attachments:
        url, named = html.escape(block.url), html.escape(block.text)
        if block.kind == "picture":
            return f'<img src="{url}" alt="{named}">'
        name = html.escape(_FILE_NAME.sub("_", block.text.partition(" ")[2]) or "file")
        return f'<p><a href="{url}" download="{name}">[file] {named}</a></p>'
    mark = "" if block.kind == "text" else f"[{block.kind}] "
    text = html.escape(mark + block.text)
    return f'<pre class="{block.kind}" dir="auto">{text}</pre>'


# Plain text


def _text(title: str, facts: str, entries: Sequence[Entry], attachments: bool) -> str:
    lines = [_line(title), facts]
    for entry in entries:
        lines += ["", entry.heading]
        for block in entry.blocks:
            mark = "" if block.kind == "text" else f"[{block.kind}] "
            told = (mark + block.text).splitlines()
            lines += [f"    {line}".rstrip() for line in told]
        lines += [f"  * {judgement}" for judgement in entry.judgements]
    return "\n".join(lines) + "\n"


_PAGES: dict[str, Callable[[str, str, Sequence[Entry], bool], str]] = {
    "markdown": _markdown,
    "html": _html,
    "text": _text,
}
