"""Messages as Pydantic AI's agents add them, at times of their own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pydantic_ai.messages import (
    BinaryImage,
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

BEGIN = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


def asked(text: str) -> ModelRequest:
    return ModelRequest([UserPromptPart(text, timestamp=BEGIN)])


def answered(text: str) -> ModelResponse:
    return ModelResponse([TextPart(text)], model_name="m-1", timestamp=BEGIN)


WEATHER: list[ModelMessage] = [
    ModelRequest(
        [
            SystemPromptPart("Be brief.", timestamp=BEGIN),
            UserPromptPart("Weather in Utrecht and Zwolle?", timestamp=BEGIN),
        ],
        instructions="Answer in Dutch.",
        run_id="run-1",
    ),
    ModelResponse(
        [
            ThinkingPart("Two cities.", signature="sig", provider_name="anthropic"),
            ToolCallPart("weather", {"city": "Utrecht"}, "c-1"),
            ToolCallPart("weather", '{"city": "Zwolle"}', "c-2"),
        ],
        timestamp=BEGIN,
        finish_reason="tool_call",
    ),
    ModelRequest(
        [
            ToolReturnPart("weather", {"rain": True}, "c-1", timestamp=BEGIN),
            ToolReturnPart("weather", "rain", "c-2", timestamp=BEGIN),
        ],
        timestamp=BEGIN + timedelta(seconds=1),
    ),
    answered("Rain in both."),
]
ODD: list[ModelMessage] = [
    ModelRequest(
        [
            UserPromptPart(
                [
                    "nul \x00 and \ud83d",
                    BinaryImage(b"\x89PNG\r\n\x1a\n\xff\xfe", media_type="image/png"),
                    ImageUrl("https://example.org/a.png"),
                ],
                timestamp=BEGIN,
            ),
            ToolReturnPart("t" * 300, {"n": 2**70}, "", timestamp=BEGIN),
        ]
    ),
    ModelResponse([], timestamp=BEGIN),
    ModelRequest([], state="interrupted"),
]


def message(number: int) -> ModelMessage:
    """One of many kinds, by its number, and no two the same."""
    kinds = [*WEATHER, *ODD]
    if number % 3 == 0:
        return asked(f"question {number}")
    if number % 3 == 1:
        return answered(f"answer {number}")
    return kinds[number // 3 % len(kinds)]
