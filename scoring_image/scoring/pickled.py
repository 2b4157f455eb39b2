"""Pickle and joblib files: the one place where what an upload says is executed, and words for each way it fails."""

from __future__ import annotations

import lzma
import pickle
import re
import sys
import zlib
from typing import Any, BinaryIO

import joblib

from scoring.opening import OpenError, missing_module, out_of_memory, truncated

# What pickle and joblib say in ValueError and UnpicklingError about a file that stops in the middle.
_CUT_OFF = ("EOF", "exhausted", "truncated", "Ran out of input")

_ATTRIBUTE = re.compile(r"(?:Can't get attribute|has no attribute) '([^']+)'")
_HOME_MODULE = re.compile(r"(?:on <module|^module) '([^']+)'")


def load(file: BinaryIO, name: str) -> Any:
    """What the file holds, compressed or not; its pickle is run. Raises OpenError."""
    try:
        return joblib.load(file)
    except ModuleNotFoundError as error:
        raise missing_module(error, name) from error
    except AttributeError as error:
        raise _missing_attribute(error, name) from error
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise truncated(name, error) from error
    except MemoryError as error:
        raise out_of_memory(name) from error
    except (pickle.UnpicklingError, ValueError, KeyError, IndexError) as error:
        if any(sign in str(error) for sign in _CUT_OFF):
            raise truncated(name, error) from error
        # What scikit-learn says of trees that an older or newer version saved.
        if "incompatible dtype" in str(error):
            raise _other_version(name, error) from error
        raise _not_a_pickle(name, error) from error
    except (Exception, SystemExit) as error:
        raise OpenError(
            "crashed",
            f"Opening {name} raised {type(error).__name__}: {error}",
            "The model's own code failed, often because a library's version differs from training.",
            "Name the versions that the model was trained with in the runtime's requirements.",
        ) from error


def _missing_attribute(error: AttributeError, name: str) -> OpenError:
    found = _ATTRIBUTE.search(str(error))
    attribute = found.group(1) if found else str(error)
    home = _HOME_MODULE.search(str(error))
    module = home.group(1) if home else None
    if module in ("__main__", getattr(sys.modules["__main__"].__spec__, "name", None)):
        return OpenError(
            "missing_attribute",
            f"{name} needs {attribute}, which was defined in the notebook or script that saved the model.",
            "Python saves only the name of a class or function; what is defined in __main__ stays there.",
            f"Put {attribute} into a module of its own (such as features.py), import it from there, "
            "train and save again, and upload the module as code.",
            module="__main__",
        )
    return OpenError(
        "missing_attribute",
        f"{name} needs {attribute}{f' of the module {module}' if module else ''}, which is not there.",
        "The library has another version here than at training, or the uploaded code differs.",
        "Name the version that the model was trained with, or upload the code as it was.",
        module=module,
    )


def _not_a_pickle(name: str, error: Exception) -> OpenError:
    return OpenError(
        "not_a_model",
        f"{name} is not a joblib or pickle file ({type(error).__name__}: {error}).",
        "It is another kind of file, or it was damaged on the way.",
        "Save the estimator with joblib.dump(model, 'model.joblib') and upload that file.",
    )


def _other_version(name: str, error: Exception) -> OpenError:
    here = getattr(sys.modules.get("sklearn"), "__version__", "the one here")
    return OpenError(
        "version",
        f"{name} was saved with a scikit-learn whose trees {here} cannot read ({' '.join(str(error).split())[:200]}).",
        "The layout of trees changes between some versions of scikit-learn.",
        "Name the version of scikit-learn that the model was trained with in the runtime's requirements.",
    )
