"""What every parser asks of an answer first: is it whole, and is it an answer at all."""

from __future__ import annotations

import re

from pipeline.core.errors import ItemError
from pipeline.core.types import Completion
from pipeline.tasks.loops import find_loop

COMPLETE = frozenset({"stop", "tool_calls"})
"""The only finish reasons of a whole answer; also under HTTP 200 a server may say length, abort, error or nothing."""

MAX_REFUSAL = 300
"""Characters. A refusal is short; a longer text that begins like one is a text."""

_SORRY = (
    r"(?:(?:i(?:'m| am) (?:really |very |so |truly )?sorry|i(?:'m| am) afraid|sorry|my apologies|apologies|"
    r"i apologi[sz]e|unfortunately)[,.;:!]? (?:but |however,? |that )?)?"
)
_CANNOT = (
    r"(?:can't|cannot|can not|won't|will not|cannot and will not|(?:won't|will not) be able to|could not|couldn't|"
    r"(?:am |'m )?(?:not able|unable|not allowed|not permitted|not comfortable)(?: to)?|"
    r"(?:do not|don't) (?:feel comfortable|have the (?:ability|capability) to))"
)
_HELP = r"help(?:ing)?(?: you)?(?: with (?:this|that|your|the|it|identifying|describing)\b|[.!,;]|$)"
_DO = (
    r"(?:do|discuss|answer|continue with|provide|fulfill?|engage with|engage in) (?:this|that)(?: request)?(?:[.!,;]|$)"
)
_MAKE = (
    r"(?:fulfill?|provid(?:e|ing)|describ(?:e|ing)|identify(?:ing)?|process|analy[sz]e|view|caption|transcribe|"
    r"read|generate|create|produce|offer|discuss|engage with|respond to|answer|complete|moderate|evaluate) "
    r"(?:(?:from |on |in |about )?(?:this|that|the|your|any|an?|such|these|those) )?(?:\w+ ){0,5}?"
    r"(?:image|picture|photo|photograph|request|content|caption|description|transcription|assistance|help|task|"
    r"question|material|people|person|individual|face)s?\b"
)
_SEE = r"see (?:(?:the|this|that|your|any|an?) )?(?:image|picture|photo|photograph)s?\b"
"""What is not seen in the picture ("any person") is an answer; only who sees no picture refuses."""
_REFUSALS = re.compile(
    rf"{_SORRY}(?:as an? (?:ai|language model)\b[^.]{{0,60}}, )?{_SORRY}i ?{_CANNOT} (?:\w+ )?"
    rf"(?:assist\b|comply\b|{_HELP}|{_DO}|{_MAKE}|{_SEE}|identify (?:who|anyone|someone)\b)"
    rf"|{_SORRY}i (?:must|have to|need to) (?:decline|refuse)\b"
    rf"|{_SORRY}(?:this|the|that|your) (?:request|image|picture|photo|content)s? "
    r"(?:\w+ ){0,3}?(?:violates?|goes against|is against) (?:\w+ ){0,6}?(?:polic(?:y|ies)|guidelines|terms)"
)
"""The beginning of a refusal, in lower case with straight apostrophes and single blanks: it names what the model will
not do (assist, describe the image), so that a letter that begins "I'm sorry, but I can't come" is none."""


def checked(completion: Completion) -> str:
    """The whole answer's text without blank ends.

    Raises ItemError: content_filter, refusal, repetition, empty or cut, looked for in this order.
    """
    reason = completion.finish_reason
    text = completion.text.strip()
    if reason == "content_filter":
        raise ItemError("content_filter", "the server's content filter stopped the answer")
    if completion.refusal or is_refusal(text):
        raise ItemError("refusal", f"the model refused: {_short(completion.refusal or text)}")
    if loop := find_loop(completion.text, cut=reason not in COMPLETE):
        raise ItemError("repetition", f"the answer ends in a loop: {_short(loop) or 'blanks'}")
    if not text:
        why = " (its token limit was used up before the answer began)" if reason == "length" else ""
        if completion.reasoned:
            why = " (all that the model wrote is reasoning; it needs a larger max_tokens, or less reasoning)"
        raise ItemError("empty", f"the answer is empty{why}")
    if reason == "length":
        raise ItemError("cut", "the answer was cut at the token limit")
    if reason not in COMPLETE:
        raise ItemError("cut", f"the answer ended before it was complete (finish reason: {reason or 'none given'})")
    return text


def is_refusal(text: str) -> bool:
    """Whether the whole of `text` is a model's refusal. A text that merely says sorry is none."""
    if len(text) >= MAX_REFUSAL:
        return False
    plain = " ".join(text.replace("\u2019", "'").lower().split())
    return _REFUSALS.match(plain) is not None


def unfenced(text: str) -> str:
    """`text` without a Markdown code fence around the whole of it."""
    match = re.fullmatch(r"\s*```[\w-]*[ \t]*\r?\n(.*?)\r?\n?[ \t]*```\s*", text, re.DOTALL)
    return match[1] if match and "\n```" not in match[1] else text


def _short(text: str) -> str:
    """At most 200 characters of `text`, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:199]}…"
