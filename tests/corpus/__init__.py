"""A corpus of odd, damaged and hostile picture files, for the whole command and for one function.

    python -m tests.corpus FOLDER --files 2200 --seed 7

writes FOLDER/files/* and FOLDER/corpus.jsonl, a listing that says of each what it is and which outcomes are right. The
same seed and number give the same bytes on one version of Pillow; another seed gives other pictures, cuts and names.
"""

from tests.corpus.folder import CORPUS, Member, dice_for, members, written

__all__ = ["CORPUS", "Member", "dice_for", "members", "written"]
