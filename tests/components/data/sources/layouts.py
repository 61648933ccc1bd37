"""Small fakes of each set, faithful to its layout, with the masks that were painted into them."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import sparse

from components.data.sources.abdomenatlas import LABELS as ATLAS_LABELS
from components.data.sources.amos22 import LABELS as AMOS_LABELS
from tests.model.imaging.phantom import ORIENTATIONS, save, stored_as

SHAPE = (20, 16, 12)
AFFINE = np.array([[1.5, 0, 0, -14], [0, 1.2, 0, 30], [0, 0, 3.0, -7], [0, 0, 0, 1]], float)
AS_STORED = ORIENTATIONS[0]
Painted = dict[str, np.ndarray]
"""Name -> bool (x, y, z), RAS+ where the layout has a frame, else as stored."""
Truth = dict[str, Painted]
"""Study -> what was painted into it."""


def scan(random: np.random.Generator, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """int16, (x, y, z) RAS+: noise with air below it, as a CT has."""
    return random.integers(-1000, 400, shape).astype(np.int16)


def blob(random: np.random.Generator, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """A box with holes, somewhere."""
    low = [int(random.integers(0, n - 2)) for n in shape]
    high = [int(random.integers(a + 1, n + 1)) for a, n in zip(low, shape, strict=True)]
    mask = np.zeros(shape, bool)
    inside = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    mask[inside] = random.random(mask[inside].shape) < 0.8
    mask[tuple(low)] = True
    return mask


def label_map(random: np.random.Generator, values: list[int]) -> np.ndarray:
    """uint16 (x, y, z), the later over the earlier; some may be hidden."""
    out = np.zeros(SHAPE, np.uint16)
    for value in values:
        out[blob(random)] = value
    return out


def painted(labels: np.ndarray, names: Mapping[int, str]) -> Painted:
    return {name: labels == value for value, name in names.items() if (labels == value).any()}


def write(path: Path, array: np.ndarray, orientation: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return save(path, array, affine, orientation)


def amos22(root: Path, random: np.random.Generator, orientation: np.ndarray) -> Truth:
    root.mkdir(exist_ok=True)
    (root / "dataset.json").write_text(json.dumps({"labels": {"0": "background", **AMOS_JSON}}))
    truth = {}
    for study, end in (("amos_0507", "Tr"), ("amos_0004", "Tr"), ("amos_0008", "Va"), ("amos_0006", "Va")):
        labels = label_map(random, [2, 3, 9, 6])
        write(root / f"images{end}/{study}.nii.gz", scan(random), orientation)
        write(root / f"labels{end}/{study}.nii.gz", labels, orientation)
        truth[study] = painted(labels, AMOS_LABELS)
    write(root / "imagesTs/amos_0100.nii.gz", scan(random), orientation)
    return truth


AMOS_JSON = {
    "1": "spleen", "2": "right kidney", "3": "left kidney", "4": "gall bladder", "5": "esophagus", "6": "liver",
    "7": "stomach", "8": "arota", "9": "postcava", "10": "pancreas", "11": "right adrenal gland",
    "12": "left adrenal gland", "13": "duodenum", "14": "bladder", "15": "prostate/uterus",
}  # fmt: skip
"""As the set spells them."""


def msd(root: Path, random: np.random.Generator, orientation: np.ndarray) -> Truth:
    tumour = {1: "peritumoural oedema", 2: "non-enhancing tumour", 3: "enhancing tumour"}
    truth = _msd_task(
        root / "Task01_BrainTumour", random, orientation, ["BRATS_002", "BRATS_001"],
        {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"},
        {"1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"}, tumour,
    )  # fmt: skip
    return truth | _msd_task(
        root / "Task03_Liver", random, orientation, ["liver_0"], {"0": "CT"}, {"1": "liver", "2": "cancer"},
        {1: "liver", 2: "liver tumour"},
    )  # fmt: skip


def _msd_task(
    folder: Path,
    random: np.random.Generator,
    orientation: np.ndarray,
    cases: list[str],
    modality: dict[str, str],
    labels: dict[str, str],
    ours: dict[int, str],
) -> Truth:
    truth: Truth = {}
    for case in cases:
        drawn = label_map(random, [int(value) for value in labels])
        channels = [stored_as(scan(random), AFFINE, orientation) for _ in modality]
        image = np.stack([channel for channel, _ in channels], -1).squeeze()
        (folder / "imagesTr").mkdir(parents=True, exist_ok=True)
        save(folder / f"imagesTr/{case}.nii.gz", image, channels[0][1])
        write(folder / f"labelsTr/{case}.nii.gz", drawn.astype(np.uint8), orientation)
        for name in modality.values():
            truth[f"{case}-{name}" if len(modality) > 1 else case] = painted(drawn, ours)
    training = [{"image": f"./imagesTr/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"} for case in cases]
    stored = {
        "name": "x", "tensorImageSize": "4D" if len(modality) > 1 else "3D", "modality": modality,
        "labels": {"0": "background", **labels}, "numTraining": len(cases), "training": training, "test": [],
    }  # fmt: skip
    (folder / "dataset.json").write_text(json.dumps(stored))
    return truth


def abdomenatlas(root: Path, random: np.random.Generator, orientation: np.ndarray) -> Truth:
    masks = {"kidney_left": "left kidney", "postcava": "inferior vena cava", "gall_bladder": "gallbladder"}
    truth: Truth = {"BDMAP_00000002": {}}
    folder = root / "BDMAP_00000002"
    write(folder / "ct.nii.gz", scan(random), orientation)
    for theirs, ours in masks.items():
        truth[folder.name][ours] = blob(random)
        write(folder / f"segmentations/{theirs}.nii.gz", truth[folder.name][ours].astype(np.uint8), orientation)
    write(folder / "segmentations/spleen.nii.gz", np.zeros(SHAPE, np.uint8), orientation)
    labels = label_map(random, [3, 4, 11])
    write(root / "BDMAP_00000001/ct.nii.gz", scan(random), orientation)
    write(root / "BDMAP_00000001/combined_labels.nii.gz", labels, orientation)
    assert (ATLAS_LABELS[3], ATLAS_LABELS[4], ATLAS_LABELS[11]) == (
        "kidney_left",
        "kidney_right",
        "adrenal_gland_right",
    )
    truth["BDMAP_00000001"] = painted(labels, {3: "left kidney", 4: "right kidney", 11: "right adrenal gland"})
    return truth


def totalsegmentator(root: Path, random: np.random.Generator, orientation: np.ndarray) -> Truth:
    root.mkdir(exist_ok=True)
    rows = ["image_id;age;gender;split", "s0011;50;m;test", "s0003;;f;train", "s0020;61;f;val"]
    (root / "meta.csv").write_text("\ufeff" + "\n".join(rows) + "\n", "utf-8")
    masks = {"rib_left_5": "left fifth rib", "vertebrae_L1": "L1 vertebra", "heart_atrium_left": "left atrium"}
    truth: Truth = {}
    for study, image in (("s0011", "ct"), ("s0003", "ct"), ("s0020", "mri")):
        truth[study] = {ours: blob(random) for ours in masks.values()}
        write(root / f"{study}/{image}.nii.gz", scan(random), orientation)
        for theirs, ours in masks.items():
            write(root / f"{study}/segmentations/{theirs}.nii.gz", truth[study][ours].astype(np.uint8), orientation)
        write(root / f"{study}/segmentations/brain.nii.gz", np.zeros(SHAPE, np.uint8), orientation)
    return truth


def brats(root: Path, random: np.random.Generator, orientation: np.ndarray) -> Truth:
    names = ("necrotic tumour core", "peritumoural oedema", "enhancing tumour")
    truth: Truth = {}
    for study, joint, contrasts, values in (
        ("BraTS-GLI-00021-001", "-", ("t1n", "t1c", "t2w", "t2f"), (1, 2, 3)),
        ("BraTS-GLI-00021-000", "-", ("t1n", "t1c", "t2w", "t2f"), (1, 2, 3)),
        ("BraTS2021_00021", "_", ("t1", "t1ce", "t2", "flair"), (1, 2, 4)),
        ("BraTS20_Training_021", "_", ("t1", "t1ce", "t2", "flair"), (1, 2, 4)),
    ):
        labels = label_map(random, list(values))
        write(root / study / f"{study}{joint}seg.nii.gz", labels.astype(np.uint8), orientation)
        for contrast in contrasts:
            write(root / study / f"{study}{joint}{contrast}.nii.gz", np.abs(scan(random)), orientation)
            truth[f"{study}-{contrast}"] = painted(labels, dict(zip(values, names, strict=True)))
    return truth


def folder(root: Path, random: np.random.Generator, orientation: np.ndarray) -> Truth:
    root.mkdir(exist_ok=True)
    names = {7: "cochlea left", 300: "liver", 40000: "Left_Kidney"}
    (root / "names.tsv").write_text("# value\tname\n7\tcochlea left\n300\tliver\n40000\tLeft_Kidney\n")
    (root / "subjects.tsv").write_text("b\tperson 1\ttrain\na\tperson 1\ttrain\nc\tperson 2\ttest\n")
    ours = {7: "left cochlea", 300: "liver", 40000: "left kidney"}
    truth = {}
    for study in "bac":
        labels = label_map(random, list(names))
        write(root / f"images/{study}.nii.gz", scan(random), orientation)
        write(root / f"labels/{study}.nii", labels, orientation)
        truth[study] = painted(labels, ours)
    return truth


def m3d_seg(root: Path, random: np.random.Generator, orientation: np.ndarray) -> Truth:
    """The orientation is that of the NIfTI whose affine was dropped: nothing of it is left."""
    labels = {"0": "background", "1": "liver", "2": "carotid artery left", "3": "spleen", "4": "pancreas"}
    ours = ("liver", "left common carotid artery", "spleen")
    truth: Truth = {}
    lists: dict[str, list[dict[str, str]]] = {"train": [], "test": []}
    for case, split in (("12", "train"), ("3", "train"), ("7", "test")):
        masks = [blob(random) for _ in ours] + [np.zeros(SHAPE, bool)]
        m3d_case(root, "0003", case, (scan(random) / 400).astype(np.float32), masks)
        shape = (len(masks), *SHAPE)
        lists[split].append({"image": f"0003/{case}/image.npy", "label": f"0003/{case}/mask_{shape}.npz"})
        truth[f"0003-{case}"] = dict(zip(ours, masks, strict=False))
    (root / "0003/0003.json").write_text(json.dumps({"labels": labels, **lists}))
    return truth


def m3d_case(root: Path, code: str, case: str, image: np.ndarray, masks: list[np.ndarray]) -> None:
    place = root / code / case
    place.mkdir(parents=True)
    np.save(place / "image.npy", image[None])
    stacked = np.stack(masks).astype(np.int32)
    sparse.save_npz(place / f"mask_{stacked.shape}.npz", sparse.csr_matrix(stacked.reshape(len(masks), -1)))


def sa_med2d(root: Path, random: np.random.Generator, orientation: np.ndarray) -> Truth:
    """A picture has one orientation alone."""
    classes = {"AbdomenCT1K": {"liver": 0, "left kidney": 12}, "ISLES2016": {"infarct": 1}}
    shape = (*SHAPE[:2], 1)
    truth: Truth = {}
    entries = {}
    for stem, instances in (
        ("ct_00--AbdomenCT1K--Case_00011--z_0041", {(0, 0): "liver", (0, 1): "liver", (12, 0): "left kidney"}),
        ("ct_00--AbdomenCT1K--Case_00011--z_0040", {(0, 0): "liver"}),
        ("mr_adc--ISLES2016--training_5--x_0001", {(1, 0): "infarct"}),
    ):
        entries[f"images/{stem}.png"] = []
        sa_picture(root / f"images/{stem}.png", np.abs(scan(random, shape)) % 256)
        truth[stem] = {}
        for (number, instance), name in instances.items():
            mask = np.asarray(blob(random, (*SHAPE[:2], 8)).any(2))[:, :, None]
            listed = f"masks/{stem}--{number:04d}_{instance:03d}.png"
            sa_picture(root / listed, mask * 255)
            entries[f"images/{stem}.png"].append(listed)
            truth[stem][name] = truth[stem].get(name, np.zeros(shape, bool)) | mask
    (root / "SAMed2D_v1.json").write_text(json.dumps(entries, indent=1))
    (root / "SAMed2D_v1_class_mapping_id.json").write_text(json.dumps(classes))
    return truth


def sa_picture(path: Path, values: np.ndarray) -> None:
    """values: (x, y, 1), x to the right and y down."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values[:, :, 0].T.astype(np.uint8)).save(path)


Builder = Callable[[Path, np.random.Generator, np.ndarray], Truth]
BUILDERS: dict[str, Builder] = {
    build.__name__: build for build in (abdomenatlas, amos22, brats, folder, m3d_seg, msd, sa_med2d, totalsegmentator)
}
