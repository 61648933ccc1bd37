"""Names and ids of everything that is drawn, and how two source atlases spell them.

Ids: 0 background; then left and right of each paired structure (left is odd); then the midline. Left and
right are the patient's.
"""

import numpy as np

# fmt: off
PAIRED = ("white matter", "lateral ventricle", "thalamus", "caudate", "putamen", "pallidum",
          "hippocampus", "amygdala", "accumbens", "ventral diencephalon", "cerebellar cortex",
          "cerebellar white matter", "frontal cortex", "parietal cortex", "temporal cortex",
          "occipital cortex", "cingulate cortex", "insula")
MIDLINE = ("third ventricle", "fourth ventricle", "brainstem", "corpus callosum", "csf", "skull", "scalp")
NAMES = ("background", *(f"{side} {n}" for n in PAIRED for side in ("left", "right")), *MIDLINE)
ID = {name: i for i, name in enumerate(NAMES)}
PAIRED_IDS = range(1, 2 * len(PAIRED) + 1)
SWAP = np.array([(i + 1 if i % 2 else i - 1) if i in PAIRED_IDS else i for i in range(len(NAMES))], np.uint8)
"""SWAP[i] is the label of the other side: what a mirrored head must be relabelled with."""

LOBES = {  # cortical parcels, as both sources spell them
    "frontal cortex": ("superiorfrontal", "rostralmiddlefrontal", "caudalmiddlefrontal", "parsopercularis",
                       "parstriangularis", "parsorbitalis", "lateralorbitofrontal", "medialorbitofrontal",
                       "precentral", "paracentral", "frontalpole"),
    "parietal cortex": ("superiorparietal", "inferiorparietal", "supramarginal", "postcentral", "precuneus"),
    "temporal cortex": ("superiortemporal", "middletemporal", "inferiortemporal", "bankssts", "fusiform",
                        "transversetemporal", "entorhinal", "temporalpole", "parahippocampal"),
    "occipital cortex": ("lateraloccipital", "lingual", "cuneus", "pericalcarine"),
    "cingulate cortex": ("rostralanteriorcingulate", "caudalanteriorcingulate", "posteriorcingulate",
                         "isthmuscingulate"),
    "insula": ("insula",),
}
LOBE_OF = {parcel: lobe for lobe, parcels in LOBES.items() for parcel in parcels}
DONOR_DEEP = {"thalamusproper": "thalamus", "caudate": "caudate", "putamen": "putamen", "pallidum": "pallidum",
              "accumbensarea": "accumbens", "hippocampus": "hippocampus", "amygdala": "amygdala"}
"""Deep grey matter as the donors' table spells it."""
ASEG = {  # names in the atlas's table, after "Left-" or "Right-"
    "Cerebral-White-Matter": "white matter", "vessel": "white matter",
    "Lateral-Ventricle": "lateral ventricle", "Inf-Lat-Vent": "lateral ventricle",
    "choroid-plexus": "lateral ventricle", "Cerebellum-White-Matter": "cerebellar white matter",
    "Cerebellum-Cortex": "cerebellar cortex", "Thalamus-Proper": "thalamus", "Caudate": "caudate",
    "Putamen": "putamen", "Pallidum": "pallidum", "Hippocampus": "hippocampus", "Amygdala": "amygdala",
    "Accumbens-area": "accumbens", "VentralDC": "ventral diencephalon"}
ASEG_MIDLINE = {"3rd-Ventricle": "third ventricle", "4th-Ventricle": "fourth ventricle",
                "Brain-Stem": "brainstem", "CSF": "csf", "Optic-Chiasm": "csf"}
# fmt: on

ENVELOPE = ("csf", "skull", "scalp")
"""What surrounds a brain; never asked about."""
PROPAGATED = ("ventricle", "cerebell", "brainstem", "callosum", "diencephalon", "white matter")
"""Words of structures that no donor's own map has: of a donor they are the atlas's, warped, or filled in."""


def ids_with(*words: str) -> list[int]:
    """Ids of the labels whose name contains any of the words."""
    return [i for name, i in ID.items() if any(word in name for word in words)]


def tissue_of(name: str) -> str:
    """Which row of a contrast's table paints this label."""
    base = name.removeprefix("left ").removeprefix("right ")
    return next((tissue for tissue, names in TISSUES.items() if base in names), "GM")


TISSUES = {
    "WM": ("white matter", "cerebellar white matter", "corpus callosum"),
    "CSF": ("lateral ventricle", "third ventricle", "fourth ventricle", "csf"),
    "BS": ("brainstem", "ventral diencephalon"),
    "DGM": ("caudate", "putamen", "accumbens"),
    "PAL": ("pallidum",),
    "TH": ("thalamus",),
    "BONE": ("skull",),
    "SOFT": ("scalp",),
    "AIR": ("background",),
}
TISSUE = tuple(tissue_of(name) for name in NAMES)
