"""Importing this makes a missing package of an extra one sentence instead of a traceback.

To be imported before whatever needs the package.
"""
import os
import sys

EXTRAS = {"onnx": "export", "onnxruntime": "export", "pymoo": "export", "array_record": "nurture",
          "av": "nurture", "pandas": "nurture", "pycocotools": "nurture", "pygrowup": "nurture"}


def _tell_extra(kind, error, trace, otherwise=sys.excepthook):
    package = (getattr(error, "name", "") or "").split(".")[0]
    if not (issubclass(kind, ModuleNotFoundError) and package in EXTRAS):
        return otherwise(kind, error, trace)
    print(f"error: {package} is not installed; install the extra that holds it: pip install "
          f"'deps-jax[{EXTRAS[package]}]'", file=sys.stderr, flush=True)
    os._exit(2)  # as for any bad input; an exception hook cannot choose the code otherwise


sys.excepthook = _tell_extra
