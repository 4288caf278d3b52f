"""vlm-batch: vision-language models over image data sets, resumable at any instant."""

__version__ = "0.1.0"
