"""All malformed inputs, those that need torch last."""

from tests.bad_input import (
    answers,
    arrays,
    dicom,
    itk,
    json_files,
    nifti,
    params,
    pictures,
    questions,
    series,
    shards,
    weights,
)
from tests.bad_input.case import Case

MODULES = (dicom, series, nifti, itk, pictures, arrays, questions, answers, json_files, params, shards, weights)
CASES: list[Case] = [case for module in MODULES for case in module.CASES]
