"""What a server can do of what a run needs, found out by at most four small calls; no output is touched."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from pipeline.compose import OpenTask, open_provider, open_tasks, serving
from pipeline.config import Config
from pipeline.config_file import read_key
from pipeline.core.errors import CallError, ItemError, ServerError
from pipeline.core.ports import Provider
from pipeline.core.types import Completion, Prompt, Value
from pipeline.few_calls import FewCalls
from pipeline.images.prepare import prepared
from pipeline.images.rules import ServerRules
from pipeline.images.specimen import COLOURS, SEEN, specimen
from pipeline.prompts.prefix import fixed_prompt
from pipeline.providers.dialects import DIALECTS
from pipeline.providers.errors import VISION
from pipeline.providers.models import ask_for_models, listed_models
from pipeline.providers.shapes import shape_of
from pipeline.reporting.probed import Finding, Mark, Probe
from pipeline.storage.http import AiohttpTransport

_ANSWER_TOKENS: Final = 300
"""An answer about one word on one colour is shorter; one that thinks aloud is cut, which is found out, too."""
_QUOTED: Final = 80
"""Characters of an answer that are shown."""
_SCHEMA: Final = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": list(COLOURS)}},
    "required": ["colour"],
    "additionalProperties": False,
}
_ASKED: Final = f"Which colour fills most of the picture: {', '.join(COLOURS[:-1])} or {COLOURS[-1]}?"
"""Says nothing of JSON: an answer in it shows that the server enforces the schema."""


async def probe(config: Config) -> Probe:
    """Ask the server of a configuration what a run needs to know. Nothing is raised for what the server lacks."""
    transport = AiohttpTransport()
    ended: list[Finding] = []

    def died(error: ServerError) -> None:
        ended.append(Finding("server", "wrong", str(error)))

    try:
        async with serving(config, died) as base_url:
            provider = open_provider(config, base_url, transport)
            asking = _Asking(config, transport, provider, FewCalls(provider))
            await asking.find_out(base_url)
    except ServerError as error:  # the embedded server could not be started
        return Probe([Finding("server", "wrong", str(error))], 0, 0, 0, 0.0)
    finally:
        await transport.aclose()
    return Probe([*asking.findings, *ended], asking.calls.made, *asking.calls.spent())


class _AnyColumn(Mapping[str, Value]):
    """A row that has every column that a task may want to quote or to ask."""

    def __getitem__(self, name: str) -> str:
        return "What does the picture show?"

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@dataclass(slots=True)
class _Asking:
    """One look at one server."""

    config: Config
    transport: AiohttpTransport
    provider: Provider
    calls: FewCalls
    findings: list[Finding] = field(default_factory=list)

    def add(self, topic: str, mark: Mark, said: str, advice: str = "") -> None:
        """One more line."""
        self.findings.append(Finding(topic, mark, said, advice))

    async def find_out(self, base_url: str) -> None:
        """Everything, in the order in which one thing needs another."""
        tasks = open_tasks(self.config)
        provider = self.config.provider
        kinds = ", ".join(tasks)
        self.add("config", "fine", f"{len(tasks)} task{'s' if len(tasks) > 1 else ''}: {kinds}.")
        default = DIALECTS[provider.dialect].api_key_env
        key, _ = read_key(provider, default)
        where = provider.api_key_file or provider.api_key_env or default
        self.add("key", "fine", f"taken from {where}." if key else "none is sent: the configuration names none.")
        models = list(dict.fromkeys(task.fixed.model for task in tasks.values()))
        if not await self._reach(base_url, key, models):
            return
        task = next(iter(tasks.values()))
        prompt = self._prompt(task)
        if not await self._vision(task, prompt):
            return
        await self._schema(task, needed=any(task.fixed.schema for task in tasks.values()))
        await self._cache(prompt)
        other = next((task for task in tasks.values() if task.fixed.model != models[0]), None)
        if other is not None and self.calls.left:
            await self._vision(other, self._prompt(other))
        elif other is not None:
            self.add("vision", "open", f"{other.name}: not asked, all calls were made.")
        elif self.calls.left:
            await self._error_shape(models[0])

    def _prompt(self, task: OpenTask) -> Prompt:
        """The task's own question about the specimen, with an answer kept short."""
        dialect = DIALECTS[self.config.provider.dialect]
        rules = ServerRules(dialect.accepts, dialect.max_base64_bytes, dialect.max_images)
        prompt = task.prompt(_AnyColumn(), prepared(specimen(), task.contract, rules))
        return replace(prompt, fixed=replace(prompt.fixed, max_tokens=min(prompt.fixed.max_tokens, _ANSWER_TOKENS)))

    async def _reach(self, base_url: str, key: str | None, models: list[str]) -> bool:
        """Whether somebody is there who takes our key."""
        try:
            reply = await ask_for_models(self.transport, base_url, key)
        except CallError as error:
            mark: Mark = "open" if error.reached else "wrong"
            self.add("server", mark, f"{base_url}: {error.message}.", "Is it running, and is provider.base_url right?")
            return error.reached
        if reply.status == 401:
            self.add("key", "wrong", str(self.provider.refusal(reply)))
            return False
        known = listed_models(reply.body) if reply.status < 300 else None
        self.add("server", "fine", f"{base_url} answers.")
        for model in models:
            self._listed(model, known, reply.status)
        return True

    def _listed(self, model: str, known: list[str] | None, status: int) -> None:
        if known is None:
            self.add("model", "open", f"{model}: the server lists no models (status {status}).")
        elif model in known:
            self.add("model", "fine", f"{model} is among the {len(known):,} that the server lists.")
        else:
            near = difflib.get_close_matches(model, known, n=1, cutoff=0.4)
            advice = f"Did you mean {near[0]!r}?" if near else f"It lists {', '.join(known[:5]) or 'none'}."
            self.add("model", "open", f"{model} is not among the {len(known):,} that the server lists.", advice)

    async def _vision(self, task: OpenTask, prompt: Prompt) -> bool:
        """Whether the task's question about a picture is answered."""
        found = await self.calls.ask(task.fixed.model, self.provider.render(prompt))
        if isinstance(found, CallError) and found.kind == "http_429" and not self.calls.answers:
            # Passing by itself, but all that was asked: with nothing learned the server cannot be called fit.
            self.add("call", "wrong", f"refused by quota: {found}", "Nothing was learned: try again later.")
            return False
        if isinstance(found, Exception):
            of_pictures = VISION in str(found) or (isinstance(found, CallError) and found.kind == "image_rejected")
            self.add("vision" if of_pictures else "call", _mark_of(found), str(found))
            return False
        try:
            task.parse(found, 1)
        except ItemError as error:
            advice = "Try a few rows with --limit, and look at what becomes of them."
            self.add("vision", "open", f"{task.name}: answered, but unusable ({error.kind}): {_quoted(found)}.", advice)
        else:
            self.add("vision", "fine", f"{task.name}: a picture was answered with {_quoted(found)}.")
        return True

    async def _schema(self, task: OpenTask, *, needed: bool) -> None:
        """Whether a JSON schema is enforced, and whether the colour of the picture was seen."""
        fixed = fixed_prompt(
            "colour",
            model=task.fixed.model,
            system="",
            instructions=_ASKED,
            schema=_SCHEMA,
            max_tokens=_ANSWER_TOKENS,
            temperature=0.0,
            seed=self.config.provider.seed,
            has_context=False,
        )
        images = self._prompt(task).images
        found = await self.calls.ask(task.fixed.model, self.provider.render(Prompt(fixed, None, images)))
        if isinstance(found, Exception):
            mark: Mark = "wrong" if needed and _mark_of(found) == "wrong" else "open"
            self.add("schema", mark, f"refused: {found}", "" if needed else "No task needs it.")
            return
        if _obeys(found.text):
            self.add("schema", "fine", "a JSON schema is enforced.")
        else:
            self.add("schema", "open", f"ignored: {_quoted(found)}.", "Answers are checked here all the same.")
        if re.search(rf"\b{SEEN}\b", found.text, re.IGNORECASE):
            self.add("sight", "fine", f"the {SEEN} picture was seen as such.")
        else:
            self.add("sight", "open", f"the picture is {SEEN}, the answer was {_quoted(found)}.", "Does the model see?")

    async def _cache(self, prompt: Prompt) -> None:
        """Whether the same request again is told to be served from a cache."""
        found = await self.calls.ask(prompt.fixed.model, self.provider.render(prompt))
        if isinstance(found, Exception):
            self.add("cache", "open", str(found))
        elif found.usage.cached_tokens is None:
            self.add("cache", "open", "the server does not say how many tokens came from a cache.")
        elif not found.usage.cached_tokens:
            said = f"none of {found.usage.prompt_tokens or 0:,} tokens of a repeated request came from a cache."
            self.add("cache", "open", said, "Some servers cache longer prompts only.")
        else:
            cached, whole = found.usage.cached_tokens, found.usage.prompt_tokens or 0
            self.add("cache", "fine", f"{cached:,} of {whole:,} tokens of a repeated request came from a cache.")

    async def _error_shape(self, model: str) -> None:
        """How a request is refused that asks nothing."""
        found = await self.calls.send(orjson.dumps({"model": model, "messages": "none", "max_tokens": 1}))
        if isinstance(found, Exception):
            self.add("errors", "open", str(found))
        elif found.status >= 400:
            self.add("errors", "fine", f"come with status {found.status} as {shape_of(found.body)}.")
        else:
            self.add("errors", "open", f"a request without a question was answered with status {found.status}.")


def _mark_of(error: Exception) -> Mark:
    """A quota that is spent for the moment, or an answer that a filter took, says nothing against the server."""
    passing = isinstance(error, CallError) and (error.starting or error.kind in {"http_429", "content_filter"})
    return "open" if passing else "wrong"


def _obeys(text: str) -> bool:
    """Whether an answer obeys the schema to the letter."""
    try:
        value: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return isinstance(value, dict) and value.keys() == {"colour"} and value["colour"] in COLOURS


def _quoted(completion: Completion) -> str:
    text = " ".join((completion.refusal or completion.text).split())
    return repr(text if len(text) <= _QUOTED else f"{text[:_QUOTED]}...")
