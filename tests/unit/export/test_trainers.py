"""One optimiser step of the real TRL trainer for each format. Heavy: needs torch.

Models and tokenizers are tiny, random and made here: nothing is downloaded.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convstore.export.options import ExportOptions
from convstore.export.stages.job import run_export
from tests.summary import needs
from tests.unit.export.histories import histories

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

JOURNEY = Path(__file__).resolve().parents[2] / "data" / "journey.jsonl"

pytestmark = [
    pytest.mark.trainers,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.timeout(600),
]

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}"
    "{% for c in m['tool_calls'] or [] %}{{ c['function'] | tojson }}{% endfor %}"
    "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    tokenizers = needs("tokenizers")
    transformers = needs("transformers")
    byte_level = tokenizers.pre_tokenizers.ByteLevel
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = byte_level(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    made.train_from_iterator(
        [],
        tokenizers.trainers.BpeTrainer(
            vocab_size=300,
            initial_alphabet=sorted(byte_level.alphabet()),
            special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
            show_progress=False,
        ),
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        bos_token="<|endoftext|>",
        chat_template=TEMPLATE,
    )


def model(tokenizer: Any, kind: str = "LlamaForCausalLM", **more: Any) -> Any:
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
        **more,
    )
    return getattr(transformers, kind)(config)


def data(folder: Path, name: str, file_type: Any) -> Any:
    from datasets import load_dataset

    run_export(
        histories(120), [name], folder / "out", ExportOptions(file_type=file_type)
    )
    loaded = load_dataset(str(folder / "out"), cache_dir=str(folder / "cache"))["train"]
    return loaded.select(range(min(len(loaded), 16)))


def step(folder: Path) -> dict[str, Any]:
    return {
        "output_dir": str(folder / "run"),
        "max_steps": 1,
        "per_device_train_batch_size": 2,
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "seed": 0,
    }


def sft(rows: Any, tokenizer: Any, args: dict[str, Any]) -> Any:
    from trl import SFTConfig, SFTTrainer

    config = SFTConfig(**args, max_length=None)
    return SFTTrainer(
        model(tokenizer), config, train_dataset=rows, processing_class=tokenizer
    )


def dpo(rows: Any, tokenizer: Any, args: dict[str, Any]) -> Any:
    from trl import DPOConfig, DPOTrainer

    return DPOTrainer(
        model(tokenizer),
        model(tokenizer),
        DPOConfig(**args, max_length=None),
        train_dataset=rows,
        processing_class=tokenizer,
    )


def reward(rows: Any, tokenizer: Any, args: dict[str, Any]) -> Any:
    from trl import RewardConfig, RewardTrainer

    judge = model(tokenizer, "LlamaForSequenceClassification", num_labels=1)
    config = RewardConfig(**args, max_length=None)
    return RewardTrainer(judge, config, train_dataset=rows, processing_class=tokenizer)


def kto(rows: Any, tokenizer: Any, args: dict[str, Any]) -> Any:
    from trl import KTOConfig, KTOTrainer

    return KTOTrainer(
        model(tokenizer),
        model(tokenizer),
        KTOConfig(**args, max_length=None),
        train_dataset=rows,
        processing_class=tokenizer,
    )


def grpo(rows: Any, tokenizer: Any, args: dict[str, Any]) -> Any:
    from trl import GRPOConfig, GRPOTrainer

    def length(completions: Any, reference: list[str], **_: Any) -> list[float]:
        assert len(reference) == len(completions)
        return [float(len(str(said)) % 3) for said in completions]

    return GRPOTrainer(
        model(tokenizer),
        length,
        GRPOConfig(**args, num_generations=2, max_completion_length=4),
        train_dataset=rows,
        processing_class=tokenizer,
    )


@pytest.mark.parametrize("file_type", ["jsonl", "parquet"])
@pytest.mark.parametrize(
    ("name", "trainer"),
    [
        ("messages", sft),
        ("prompt-completion", sft),
        ("preference", dpo),
        ("preference", reward),
        ("reward", reward),
        ("kto", kto),
        ("prompt", grpo),
    ],
)
def test_a_trainer_takes_a_step_on_every_row(
    tmp_path: Path,
    tokenizer: Any,
    name: str,
    trainer: Callable[[Any, Any, dict[str, Any]], Any],
    file_type: Any,
) -> None:
    needs("trl")
    rows = data(tmp_path, name, file_type)

    made = trainer(rows, tokenizer, step(tmp_path))
    loss = made.train().training_loss

    assert loss == loss, "the loss is not a number"
    assert len(made.train_dataset) == len(rows)


def test_trl_takes_the_conversation_that_went_through_four_frameworks(
    tmp_path: Path, tokenizer: Any
) -> None:
    """With both calls of one message; `tests/frameworks/test_one_history.py` exports
    this row."""
    needs("trl")
    from datasets import load_dataset

    (row,) = JOURNEY.read_text("utf-8").splitlines()
    rows = load_dataset("json", data_files=str(JOURNEY), cache_dir=str(tmp_path / "c"))

    made = sft(rows["train"], tokenizer, step(tmp_path))
    loss = made.train().training_loss

    assert loss == loss, "the loss is not a number"
    (seen,) = made.train_dataset
    told = tokenizer.decode(seen["input_ids"])
    calls = json.loads(row)["messages"][1]["tool_calls"]
    assert [call["function"]["arguments"]["city"] for call in calls] == [
        "Utrecht",
        "Zwolle",
    ]
    answer = told.split("<|im_start|>")[2]
    assert answer.startswith("assistant")
    for call in calls:
        assert answer.count(call["function"]["arguments"]["city"]) == 1
    for message in json.loads(row)["messages"]:
        assert (message["content"] or "") in told


def test_only_the_completion_is_under_the_loss(tmp_path: Path, tokenizer: Any) -> None:
    needs("trl")
    rows = data(tmp_path, "prompt-completion", "jsonl")

    made = sft(rows, tokenizer, step(tmp_path)).train_dataset

    for row, seen in zip(rows, made, strict=True):
        under = tokenizer.decode([token for token in seen["labels"] if token != -100])
        assert row["completion"][-1]["content"].strip() in under
        asked = [said["content"] for said in row["prompt"] if said["role"] == "user"]
        assert not any(text in under for text in asked)


def test_labels_reach_the_loss_as_they_were_given(
    tmp_path: Path, tokenizer: Any
) -> None:
    needs("trl")
    rows = data(tmp_path, "kto", "parquet")

    batches = kto(rows, tokenizer, step(tmp_path)).get_train_dataloader()

    seen = [bool(label) for batch in batches for label in batch["label"]]
    assert seen == rows["label"][:]
    assert set(seen) == {True, False}
