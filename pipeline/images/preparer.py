"""Prepares the pictures of a run: what is tame in the thread that asks, what may explode in a child process."""

from __future__ import annotations

from pipeline.core.pictures import ImageContract, PreparedImage
from pipeline.images import inspect
from pipeline.images.apart import Apart, tame
from pipeline.images.pdf import is_pdf, weigh_pdf
from pipeline.images.prepare import prepared
from pipeline.images.rules import ServerRules


class ImagePreparer:
    """The port `Preparer`; safe to use from several threads."""

    def __init__(self, rules: ServerRules, apart: Apart, apart_for_pdfs: Apart) -> None:
        self._rules = rules
        self._apart = apart
        self._apart_for_pdfs = apart_for_pdfs

    def weigh(self, source: bytes, contract: ImageContract) -> int:
        """Bytes that preparing holds at its peak, wherever it is done. Raises ItemError of stage prepare."""
        return weigh_pdf(contract) if is_pdf(source) else inspect.weigh(source, contract)

    def prepare(self, source: bytes, contract: ImageContract) -> tuple[PreparedImage, ...]:
        """The pages to send. Blocking, CPU-bound.

        Raises ItemError of stage prepare, and image_rejected; RunError when no child can be started.
        """
        if is_pdf(source):
            return self._apart_for_pdfs.prepare(source, contract, self._rules)
        if tame(source):
            return prepared(source, contract, self._rules)
        return self._apart.prepare(source, contract, self._rules)
