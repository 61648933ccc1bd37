"""From a signal of `confidence` to a probability: how often boxes with such a signal were right, where truth was known.

    Calibration.fitted("raw", signals, right, 0.5, Asked(checkpoint.digest, contract.digest()))
    calibration.probability(pointed), calibration.abstains(pointed)

Good for the weights, the contract and the drawing of samples it was fitted with, which it names. Fitted and judged by
`components.evaluation.confidence`; read where a question is asked.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from model.interface.errors import BadInput
from model.interface.strict_json import read_json
from model.vlm.confidence import Pointed
from model.vlm.sampling import Sampling

Signal = Literal["likelihood", "agreement", "raw"]
SIGNALS: tuple[Signal, ...] = ("likelihood", "agreement", "raw")
FILE = "calibration.json"
DIGITS = 6
"""Of a signal: closer ones are alike."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom the boxes are of, and how the further answers were drawn that they are compared with."""

    checkpoint: str
    """Digest, see `Checkpoint`."""
    contract: str
    """Digest."""
    samples: int = 4
    temperature: float = 1.0
    seed: int = 0

    @property
    def sampling(self) -> Sampling:
        return Sampling(temperature=self.temperature, seed=self.seed)


@dataclass(frozen=True, eq=False)
class Calibration:
    """A rising step function from a signal to the share of boxes that were right; straight lines between its knots."""

    signal: Signal
    knots: np.ndarray
    """float[k], ascending; none where there were no boxes to fit on."""
    shares: np.ndarray
    """float[k], ascending, in [0, 1]."""
    threshold: float
    """Least probability at which a box is worth showing."""
    asked: Asked

    @classmethod
    def fitted(
        cls, signal: Signal, raw: Sequence[float], right: Sequence[bool], threshold: float, asked: Asked
    ) -> "Calibration":
        """Isotonic regression; each level of the fit keeps its first and last signal."""
        from scipy.optimize import isotonic_regression

        if not len(raw):
            return cls(signal, np.zeros(0), np.zeros(0), threshold, asked)
        levels, place = np.unique(np.round(raw, DIGITS), return_inverse=True)
        weights = np.bincount(place)
        shares = np.bincount(place, np.asarray(right, float)) / weights
        fit = isotonic_regression(shares, weights=weights.astype(float)).x
        inner = np.r_[False, (fit[1:-1] == fit[:-2]) & (fit[1:-1] == fit[2:]), False][: len(fit)]
        return cls(signal, levels[~inner], fit[~inner], threshold, asked)

    @property
    def empty(self) -> bool:
        return not len(self.knots)

    def probability(self, one: Pointed) -> float:
        """That the box is right. Raises ValueError of an empty one."""
        if self.empty:
            raise ValueError("nothing was calibrated: there were no boxes to fit on")
        return float(np.interp(round(getattr(one, self.signal), DIGITS), self.knots, self.shares))

    def abstains(self, one: Pointed) -> bool:
        return self.probability(one) < self.threshold

    def to_json(self) -> dict[str, Any]:
        told = {"knots": self.knots.tolist(), "shares": self.shares.round(DIGITS).tolist()}
        return {"signal": self.signal, "threshold": self.threshold, "asked": asdict(self.asked)} | told

    @classmethod
    def load(cls, file: Path) -> "Calibration":
        """Raises BadInput where the file is another."""
        row = read_json(file)
        try:
            knots, shares = np.array(row["knots"], float), np.array(row["shares"], float)
            known = row["signal"] in SIGNALS and knots.ndim == 1 and knots.shape == shares.shape
            rising = all(np.all(np.diff(column) >= 0) for column in (knots, shares))
            if known and rising and all(0 <= share <= 1 for share in (row["threshold"], *shares)):
                return cls(row["signal"], knots, shares, row["threshold"], Asked(**row["asked"]))
        except (KeyError, TypeError, ValueError):
            pass
        raise BadInput(
            "this is no calibration",
            where=f"{file.name}: found something else, wanted signal, threshold, asked, and rising knots and shares",
            next="dvc repro confidence",
        )
