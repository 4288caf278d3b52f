"""A tiny LLaVA-shaped model with random weights: it says nonsense, but it really looks at pictures.

Two GGUF files, a Llama of two layers with a byte-level vocabulary and the vision tower that belongs to it, under
1 MB together and the same bytes for the same seed. Names of tensors and keys are those of llama.cpp (gguf-py's
constants, and what `clip.cpp` reads for projector type `mlp`; 2026-10).
"""

from pathlib import Path

import numpy as np
from gguf import GGUFWriter, TokenType
from numpy.typing import NDArray

WIDTH, INNER, LAYERS, HEADS, KEY_HEADS, CONTEXT = 64, 128, 2, 2, 1, 8192
EYE_WIDTH, EYE_INNER, EYE_LAYERS, EYE_HEADS = 32, 64, 2, 2
IMAGE_SIDE, PATCH_SIDE = 56, 14
"""Pixels: a picture, whatever its own size, is drawn in a square and costs a token a patch, so 16."""
CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_model(folder: Path, seed: int = 0, *, image_side: int = IMAGE_SIDE) -> tuple[Path, Path]:
    """Write `text.gguf` and `vision.gguf` into a folder (made if needed); their paths.

    `image_side` in pixels says what a picture costs: `picture_tokens(image_side)`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text, vision = folder / "text.gguf", folder / "vision.gguf"
    _write_text(text, np.random.default_rng([seed, 1]))
    _write_vision(vision, np.random.default_rng([seed, 2]), image_side)
    return text, vision


def picture_tokens(image_side: int = IMAGE_SIDE) -> int:
    """What each picture costs a model that was written with this `image_side`."""
    return (image_side // PATCH_SIDE) ** 2


class _Weights:
    """Adds tensors to a file: random matrices, and norms that do nothing."""

    def __init__(self, writer: GGUFWriter, chance: np.random.Generator) -> None:
        self._writer, self._chance = writer, chance

    def random(self, name: str, *shape: int) -> None:
        values: NDArray[np.float32] = (0.2 * self._chance.standard_normal(shape)).astype(np.float32)
        self._writer.add_tensor(f"{name}.weight", values)

    def linear(self, name: str, out: int, into: int) -> None:
        self.random(name, out, into)
        self._writer.add_tensor(f"{name}.bias", np.zeros(out, np.float32))

    def norm(self, name: str, width: int, *, bias: bool = False) -> None:
        self._writer.add_tensor(f"{name}.weight", np.ones(width, np.float32))
        if bias:
            self._writer.add_tensor(f"{name}.bias", np.zeros(width, np.float32))

    def raw(self, name: str, *shape: int) -> None:
        self._writer.add_tensor(name, (0.2 * self._chance.standard_normal(shape)).astype(np.float32))


def _byte_letters() -> list[str]:
    """GPT-2's alphabet: printable bytes stand for themselves, the others for letters from 256 upwards."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) if byte in printable else chr(256 + hidden.index(byte)) for byte in range(256)]


def _write_text(path: Path, chance: np.random.Generator) -> None:
    letters = _byte_letters()
    vocabulary = [*letters, "he", *CONTROL_TOKENS]  # one merge: the tokenizer wants at least one
    first_control = len(letters) + 1
    writer = GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(vocabulary))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(vocabulary)
    writer.add_token_types([TokenType.NORMAL] * first_control + [TokenType.CONTROL] * len(CONTROL_TOKENS))
    writer.add_token_merges(["h e"])
    writer.add_bos_token_id(first_control)
    writer.add_pad_token_id(first_control)
    writer.add_eos_token_id(first_control + 2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)

    weights = _Weights(writer, chance)
    weights.random("token_embd", len(vocabulary), WIDTH)
    weights.random("output", len(vocabulary), WIDTH)
    weights.norm("output_norm", WIDTH)
    key_width = KEY_HEADS * WIDTH // HEADS
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        weights.norm(f"{block}.attn_norm", WIDTH)
        weights.norm(f"{block}.ffn_norm", WIDTH)
        shapes = {"attn_q": (WIDTH, WIDTH), "attn_k": (key_width, WIDTH), "attn_v": (key_width, WIDTH)}
        shapes |= {"attn_output": (WIDTH, WIDTH), "ffn_gate": (INNER, WIDTH), "ffn_up": (INNER, WIDTH)}
        shapes |= {"ffn_down": (WIDTH, INNER)}
        for name, shape in shapes.items():
            weights.random(f"{block}.{name}", *shape)
    _write(writer)


def _write_vision(path: Path, chance: np.random.Generator, image_side: int) -> None:
    writer = GGUFWriter(path, "clip")
    writer.add_name("tiny vision")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.has_llava_projector", True)
    writer.add_bool("clip.use_gelu", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_uint32("clip.vision.image_size", image_side)
    writer.add_uint32("clip.vision.patch_size", PATCH_SIDE)
    writer.add_uint32("clip.vision.embedding_length", EYE_WIDTH)
    writer.add_uint32("clip.vision.feed_forward_length", EYE_INNER)
    writer.add_uint32("clip.vision.block_count", EYE_LAYERS)
    writer.add_uint32("clip.vision.projection_dim", WIDTH)
    writer.add_uint32("clip.vision.attention.head_count", EYE_HEADS)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    for moment in ("mean", "std"):
        writer.add_array(f"clip.vision.image_{moment}", [0.5] * 3)

    weights = _Weights(writer, chance)
    weights.raw("v.class_embd", EYE_WIDTH)
    weights.random("v.patch_embd", EYE_WIDTH, 3, PATCH_SIDE, PATCH_SIDE)
    weights.random("v.position_embd", picture_tokens(image_side) + 1, EYE_WIDTH)
    weights.norm("v.pre_ln", EYE_WIDTH, bias=True)
    weights.norm("v.post_ln", EYE_WIDTH, bias=True)
    for layer in range(EYE_LAYERS):
        block = f"v.blk.{layer}"
        weights.norm(f"{block}.ln1", EYE_WIDTH, bias=True)
        weights.norm(f"{block}.ln2", EYE_WIDTH, bias=True)
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            weights.linear(f"{block}.{name}", EYE_WIDTH, EYE_WIDTH)
        weights.linear(f"{block}.ffn_up", EYE_INNER, EYE_WIDTH)
        weights.linear(f"{block}.ffn_down", EYE_WIDTH, EYE_INNER)
    weights.linear("mm.0", WIDTH, EYE_WIDTH)
    weights.linear("mm.2", WIDTH, WIDTH)
    _write(writer)


def _write(writer: GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
