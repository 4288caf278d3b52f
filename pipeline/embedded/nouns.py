"""Folds the 1,000 ImageNet classes into general nouns, because 120 dog breeds are all a dog to somebody else.

ImageNet 2012 orders its classes by the WordNet tree, so most groups are runs of neighbours. The rule for the whole
list: an animal becomes the animal a child would name; vehicles, vessels, furniture, fungi and kitchenware of one kind
share that kind's noun; every other class keeps its own name. Written from the list of names alone (2026-11-23).
"""

from collections.abc import Sequence

_ANIMALS: tuple[tuple[int, int, str], ...] = (
    (0, 1, "fish"), (2, 4, "shark"), (5, 6, "ray"), (7, 24, "bird"), (25, 29, "salamander"), (30, 32, "frog"),
    (33, 37, "turtle"), (38, 48, "lizard"), (49, 50, "crocodile"), (51, 51, "dinosaur"), (52, 68, "snake"),
    (70, 70, "spider"), (72, 77, "spider"), (80, 100, "bird"), (101, 101, "elephant"), (108, 108, "sea anemone"),
    (109, 109, "coral"), (114, 115, "slug"), (117, 117, "nautilus"), (118, 121, "crab"), (122, 124, "lobster"),
    (125, 125, "crab"), (127, 146, "bird"), (147, 148, "whale"), (151, 268, "dog"), (269, 271, "wolf"),
    (273, 275, "wild dog"), (277, 280, "fox"), (281, 285, "cat"), (288, 289, "leopard"), (294, 297, "bear"),
    (300, 307, "beetle"), (311, 312, "grasshopper"), (313, 313, "stick insect"), (319, 320, "dragonfly"),
    (321, 326, "butterfly"), (330, 332, "rabbit"), (335, 335, "squirrel"), (339, 339, "horse"), (341, 343, "pig"),
    (345, 345, "cow"), (346, 346, "buffalo"), (348, 349, "sheep"), (351, 353, "antelope"), (354, 354, "camel"),
    (356, 359, "weasel"), (364, 364, "sloth"), (365, 369, "ape"), (370, 382, "monkey"), (383, 384, "lemur"),
    (385, 386, "elephant"), (387, 387, "red panda"), (388, 388, "panda"), (389, 397, "fish"),
)  # fmt: skip
"""(first class, last class, noun): runs of the animal half of the list, classes 0 to 397."""

_THINGS: dict[str, tuple[int, ...]] = {
    "airplane": (404, 726, 895),
    "boat": (472, 484, 554, 576, 625, 780, 814, 871, 914),
    "bottle": (440, 720, 737, 898, 901, 907),
    "bus": (654, 779, 874),
    "camera": (732, 759),
    "car": (436, 468, 511, 609, 627, 656, 661, 751, 817),
    "cassette player": (482, 848),
    "chair": (423, 559, 765),
    "clock": (409, 530, 892),
    "computer": (527, 590),
    "cup": (504, 968),
    "drum": (541, 822),
    "fence": (489, 716, 912),
    "guitar": (402, 546),
    "gun": (413, 763, 764),
    "horn": (513, 566),
    "hot dog": (934,),
    "keyboard": (508, 878),
    "motorcycle": (665, 670),
    "mushroom": (947, 991, 992, 993, 994, 995, 996, 997),
    "piano": (579, 881),
    "pot": (469, 544, 738),
    "missile": (657, 744),
    "screen": (664, 782),
    "ship": (403, 510, 628),
    "shoe": (502, 514, 630, 770, 774),
    "shop": (415, 424, 454, 467, 509, 582, 788, 860, 865),
    "sofa": (831,),
    "squash": (940, 941, 942),
    "sunglasses": (836, 837),
    "swimsuit": (445, 638, 639, 842),
    "telephone": (487, 528, 707),
    "tie": (451, 457, 906),
    "train": (466, 547, 565, 705, 820),
    "tram": (829,),
    "truck": (555, 569, 675, 717, 864, 867),
    "tv": (851,),
    "watch": (531, 826),
    "apple": (948,),
    "bicycle": (444, 671),
    "amphibious vehicle": (408,),
    "jeans": (608,),
    "teddy bear": (850,),
    "toilet paper": (999,),
    "ear of corn": (998,),
    "rose hip": (989,),
    "horse chestnut": (990,),
    "handbag": (748,),
}
"""The artefacts and plants that share a noun, or whose name alone would mislead."""


def general_nouns(names: Sequence[str]) -> list[str]:
    """The general noun of every class, in the order of `names`, the 1,000 class names of ImageNet 2012.

    Raises ValueError if there are not 1,000 names, for then the runs would point at other classes.
    """
    if len(names) != 1000:
        raise ValueError(f"ImageNet has 1000 classes, not {len(names)}")
    nouns = list(names)
    for first, last, noun in _ANIMALS:
        nouns[first : last + 1] = [noun] * (last + 1 - first)
    for noun, classes in _THINGS.items():
        for index in classes:
            nouns[index] = noun
    return nouns
