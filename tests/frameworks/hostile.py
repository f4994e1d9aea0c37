"""What a framework may hand over in the middle of a run, however wrong it is: nothing
said, the result before its call, one id twice, words of nobody, text that no database
holds. Each framework is looked for when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

ODD_TEXT = "nul \x00 and half \ud83d"
LONG = "n" * 300
HUGE = "x" * 9_000_000
"""Once it fits a turn, and twice it does not."""


def openai_agents(text: str = ODD_TEXT) -> list[Any]:
    call = {"type": "function_call", "call_id": "c", "name": "f"}
    return [
        {"role": "user", "content": ""},
        {"role": "user", "content": None},
        {"role": "assistant"},
        {"role": LONG, "content": text},
        {"role": 7, "content": [None, 7, {"type": None}]},
        {"type": "function_call_output", "call_id": "c", "output": text},
        {**call, "arguments": text, "more": True},
        {**call, "arguments": None},
        {"type": "function_call_output", "call_id": "c", "output": None},
        {"type": "function_call", "call_id": None, "name": None, "arguments": {}},
        {"type": "nobody_knows", "id": [], "n": 2**70},
        {},
    ]


def langchain(text: str = ODD_TEXT) -> list[Any]:
    from langchain_core.messages import (
        AIMessage,
        BaseMessage,
        ChatMessage,
        HumanMessage,
        RemoveMessage,
        ToolMessage,
    )

    call = {"name": "f", "args": {"text": text}, "id": "c"}
    given: list[BaseMessage] = [
        HumanMessage(""),
        AIMessage([]),
        ChatMessage(text, role=LONG),
        ChatMessage("Hm.", role=""),
        ToolMessage(text, tool_call_id="c"),
        AIMessage("", tool_calls=[call, call], additional_kwargs={"more": True}),
        AIMessage([text, {"type": "nobody_knows", "n": 2**70}, {}]),
        AIMessage([{"type": None}, {"type": "text"}, {"type": "text", "text": None}]),
        ToolMessage([{"type": "text", "text": text}], tool_call_id="c"),
        ToolMessage("", tool_call_id="nobody's"),
        RemoveMessage(id="x"),
    ]
    return given


def langgraph(text: str = ODD_TEXT) -> list[Any]:
    # Its own serialiser takes no half of a pair and no long number; and without an id a
    # graph draws one.
    told = langchain(text.replace("\ud83d", ""))
    return [
        one.model_copy(update={"id": f"m-{number}"})
        for number, one in enumerate(told)
        if one.type != "remove" and str(2**70) not in repr(one)
    ]


def llama_index(text: str = ODD_TEXT) -> list[Any]:
    from llama_index.core.base.llms.types import ChatMessage, TextBlock, ToolCallBlock

    call = ToolCallBlock(tool_call_id="c", tool_name="f", tool_kwargs={"text": text})
    return [
        ChatMessage(role="user", content=""),
        ChatMessage(role="user", blocks=[]),
        ChatMessage(role="tool", content=text, additional_kwargs={"tool_call_id": "c"}),
        ChatMessage(role="assistant", blocks=[call, call, TextBlock(text=text)]),
        ChatMessage(role="function", content="x", additional_kwargs={"name": None}),
        ChatMessage(role="tool", additional_kwargs={"tool_call_id": 7, "n": 2**70}),
        ChatMessage(role="model", additional_kwargs={"tool_calls": [{}, None, 7]}),
    ]


def google_adk(text: str = ODD_TEXT) -> list[Any]:
    from google.adk.events.event import Event
    from google.genai import types

    call = types.FunctionCall(id="c", name="f", args={"text": text})
    given = types.FunctionResponse(id="c", name="f", response={"result": text})
    unnamed = types.FunctionResponse(name="g", response={})
    parts: list[list[types.Part] | None] = [
        None,
        [],
        [types.Part()],
        [types.Part(text="")],
        [types.Part(function_response=given)],
        [types.Part(function_call=call), types.Part(function_call=call)],
        [types.Part(function_response=given), types.Part(text=text)],
        [types.Part(function_call=types.FunctionCall())],
        [types.Part(function_response=unnamed)],
    ]
    authors = ["user", "guide", text, LONG]
    return [
        Event(
            author=authors[number % len(authors)],
            id=f"e-{number}",
            invocation_id=text,
            content=types.Content(parts=some, role=None if number % 2 else LONG),
        )
        for number, some in enumerate(parts)
    ]


def agent_framework(text: str = ODD_TEXT) -> list[Any]:
    from agent_framework import Content, Message

    call = Content.from_function_call("c", "f", arguments={"text": text})
    given = Content.from_function_result("c", result=text)
    return [
        Message("user", []),
        Message("user", [""]),
        Message(LONG, [text]),
        Message("", ["Hm."]),
        Message("tool", [given]),
        Message("assistant", [call, call, text]),
        Message("tool", [given, given]),
        Message("tool", [given, "Hm."]),
        Message("assistant", [Content.from_function_call("", "", arguments=None)]),
        Message("tool", [Content.from_function_result("", result=None)]),
    ]


def pydantic_ai(text: str = ODD_TEXT) -> list[Any]:
    from pydantic_ai.messages import (
        ModelRequest,
        ModelResponse,
        SystemPromptPart,
        TextPart,
        ToolCallPart,
        ToolReturnPart,
        UserPromptPart,
    )

    from tests.frameworks.pydantic_ai.talk import BEGIN

    call = ToolCallPart("f", {"text": text}, "c")
    given = ToolReturnPart("f", text, "c", timestamp=BEGIN)
    return [
        ModelRequest([UserPromptPart("", timestamp=BEGIN)]),
        ModelRequest([UserPromptPart([], timestamp=BEGIN)]),
        ModelRequest([given, SystemPromptPart(text, timestamp=BEGIN)]),
        ModelResponse([call, call, TextPart("")], timestamp=BEGIN),
        ModelRequest([given, given]),
        ModelResponse([ToolCallPart("", None, ""), TextPart(text)], timestamp=BEGIN),
        ModelRequest([ToolReturnPart("", None, LONG, timestamp=BEGIN)]),
    ]


def chainlit(text: str = ODD_TEXT) -> list[Any]:
    from tests.frameworks.chainlit.test_suite import step

    return [
        step("user_message", ""),
        step("user_message", text, metadata={"n": 2**70, text: text}),
        step("tool", text, input=text, parentId="nobody's"),
        step("assistant_message", "", isError=True),
        step("assistant_message", text, generation={"model": LONG}),
        step("nobody_knows", "Hm.", generation=7, metadata=None),
        {**step("tool", "x"), "output": None, "input": None},
    ]


HOSTILE: dict[str, tuple[str, str, Callable[..., list[Any]]]] = {
    "agent_framework": ("agent_framework", "TestAgentFramework", agent_framework),
    "chainlit": ("chainlit", "TestChainlit", chainlit),
    "google_adk": ("google.adk", "TestGoogleADK", google_adk),
    "langchain": ("langchain_core.chat_history", "TestLangChain", langchain),
    "langgraph": ("langgraph.graph", "TestLangGraph", langgraph),
    "llama_index": ("llama_index.core", "TestLlamaIndex", llama_index),
    "openai_agents": ("agents", "TestOpenAIAgents", openai_agents),
    "pydantic_ai": ("pydantic_ai", "TestPydanticAI", pydantic_ai),
}
"""By the folder of a framework's tests: its package, its suite, what it says."""
