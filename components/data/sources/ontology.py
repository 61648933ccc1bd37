"""stub"""
from dataclasses import dataclass
from components.data.labels import NAMES
@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    side: str
    partner: str
    system: str
    kind: str
LES={"haemorrhage","subdural haematoma","calcification","lacune","white matter lesion","enhancing mass","tumour"}
def entry(name):
    first, _, rest = name.partition(" ")
    side = first if first in ("left","right") else ""
    partner = {"left":f"right {rest}","right":f"left {rest}"}.get(side,"")
    return Entry(name, side, partner, "brain", "lesion" if name in LES else "structure")
