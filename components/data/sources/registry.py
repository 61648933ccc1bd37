import importlib


def adapter(name):
    return importlib.import_module(f"components.data.sources.{name}")
