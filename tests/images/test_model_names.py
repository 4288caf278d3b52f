"""Which family a model's name says it belongs to."""

from __future__ import annotations

import pytest

from pipeline.images.model_names import family_of
from pipeline.images.tokens import FAMILIES

KNOWN = {
    "qwen2.5-vl": """
        accounts/fireworks/models/qwen2p5-vl-32b-instruct Qwen/Qwen2.5-VL-7B-Instruct Qwen/Qwen2-VL-2B qwen2.5vl:7b
        accounts/acme/models/invoices-qwen2p5-vl-7b
        accounts/fireworks/models/qwen2p5-vl-7b#accounts/acme/deployments/a1b2
    """,
    "qwen3-vl": """
        qwen3p7-plus Qwen/Qwen3-VL-30B-A3B qwen3p8-max Qwen/Qwen3.5-397B-A17B
        accounts/fireworks/models/qwen3-vl-30b-a3b qwen3-vl:8b
    """,
    "kimi-k2.5": """
        kimi-k3 accounts/fireworks/models/kimi-k2p6 moonshotai/Kimi-K2.5 accounts/fireworks/routers/kimi-k3-fast
    """,
    "minimax-m3": "minimax-m3 minimax-m3p1-flash MiniMaxAI/MiniMax-M3",
    "glm-4v": """
        glm-4.5v glm-5p3-flash zai-org/GLM-4.1V-9B-Thinking accounts/fireworks/models/glm-4p5v GLM-4.6V-Flash
    """,
    "gemma-3": "gemma-3-27b-it google/gemma-3-4b-it gemma3:12b gemma-3-12b-it",
    "gemma-4": "gemma-4-31b google/gemma-4-E4B-it gemma4:31b",
    "internvl": """
        OpenGVLab/InternVL3-8B OpenGVLab/InternVL2_5-8B OpenGVLab/InternVL3_5-38B-HF InternVL2-26B internvl3.5-8b
    """,
    "llama-4": """
        llama-4-maverick meta-llama/Llama-4-Scout-17B-16E-Instruct llama4-maverick-instruct-basic
        us.meta.llama4-scout-17b-instruct-v1:0
    """,
    "pixtral": "mistralai/Pixtral-12B-2409 pixtral-12b",
    "mistral-3": "mistralai/Mistral-Small-3.1-24B-Instruct-2503 mistral-small-2506 Mistral-Small-3.2-24B",
    "gpt-4o": """
        gpt-4o gpt-4.1 gpt-4.5 gpt-4o-2024-08-06 openai/gpt-4o gpt-4.1-2025-04-14 chatgpt-4o-latest gpt-4.5-preview
        ft:gpt-4o-2024-08-06:acme::abc123
    """,
    "gpt-4o-mini": "gpt-4o-mini gpt-4o-mini-2024-07-18 openai/gpt-4o-mini",
    "gpt-5": "gpt-5 gpt-5-2025-08-07 azure/gpt-5 gpt-5-chat-latest",
    "gpt-5-mini": "gpt-5-mini gpt-4.1-mini gpt-5.4-mini gpt-5-mini-2025-08-07 gpt-4.1-mini-2025-04-14",
    "gpt-5-nano": "gpt-5-nano gpt-4.1-nano gpt-5.4-nano",
    "o4-mini": "o4-mini o4-mini-2025-04-16",
    "gpt-5.2": "gpt-5.2 gpt-5.2-2025-12-11",
    "gpt-5.4": "gpt-5.4 openai/gpt-5.4",
    "gpt-5.5": "gpt-5.5",
    "gpt-5.6": "gpt-5.6",
    "o1": "o1 o3 o1-2024-12-17 o3-pro openai/o3",
}
UNKNOWN = """
    llama-v3p1-405b-instruct qwen2.5-7b-instruct qwen3-32b accounts/fireworks/models/qwen3-coder-480b
    kimi-k2-instruct minimax-m2 minimax-m30 glm-4.5 glm-4.5-air glm-5p3 gemma-2-9b gemma-3-1b-it gemma-3-270m
    gemma-3n-e4b-it gemma3:1b llama-3.3-70b llama-v3p2-11b-vision-instruct mistral-7b gpt-3.5-turbo gpt-4
    gpt-oss-120b gpt-50 gpt-5.1 gpt-6-astra gpt-4o-audio-preview gpt-4o-mini-tts o1-mini o3-mini o30
    deepseek-v4p1-flash my-own-deployment solo1 gpt-4o/other moderate-pictures-2 marco-o1
    distilled-from-gpt-4o
"""


@pytest.mark.parametrize("family", FAMILIES)
def test_names_that_are_known(family: str) -> None:
    assert {name: family_of(name) for name in KNOWN[family].split()} == dict.fromkeys(KNOWN[family].split(), family)


@pytest.mark.parametrize("name", UNKNOWN.split())
def test_names_that_say_nothing(name: str) -> None:
    assert family_of(name) is None


def test_no_name_at_all() -> None:
    assert family_of("") is None
