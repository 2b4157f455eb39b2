"""skops files: read without running anything, and only as far as skops itself trusts the types in them."""

from __future__ import annotations

import io
import sys
import zipfile
from typing import Any, BinaryIO

import skops.io
from skops.io.exceptions import UntrustedTypesFoundException

from scoring.opening import OpenError, missing_module, out_of_memory

_SHOWN = 12


def load(file: BinaryIO, name: str) -> Any:
    """The estimator in the file. Raises OpenError, `untrusted_types` for types that skops does not trust."""
    content = file.read()
    try:
        if not zipfile.is_zipfile(io.BytesIO(content)):
            raise zipfile.BadZipFile("it is no ZIP archive")
        untrusted = skops.io.get_untrusted_types(data=content)
        if untrusted:
            raise _untrusted(name, untrusted)
        return skops.io.loads(content)
    except OpenError:
        raise
    except UntrustedTypesFoundException as error:
        raise _untrusted(name, [str(error)]) from error
    except zipfile.BadZipFile as error:
        raise OpenError(
            "not_a_model",
            f"{name} is not a skops file, or was cut off ({error}).",
            "It is another kind of file, or the upload or the copy before it was cut off.",
            "Save the estimator with skops.io.dump(model, 'model.skops') and upload that file.",
        ) from error
    except ModuleNotFoundError as error:
        raise missing_module(error, name) from error
    except MemoryError as error:
        raise out_of_memory(name) from error
    except (Exception, SystemExit) as error:
        here = getattr(sys.modules.get("sklearn"), "__version__", None)
        raise OpenError(
            "crashed",
            f"Opening {name} raised {type(error).__name__}: {error}",
            f"The file is damaged, or it was saved with other versions than scikit-learn {here} and skops "
            f"{skops.__version__}, which are here.",
            "Name the versions that the model was trained with in the runtime's requirements.",
        ) from error


def _untrusted(name: str, types: list[str]) -> OpenError:
    shown = ", ".join(types[:_SHOWN]) + (f" and {len(types) - _SHOWN} more" if len(types) > _SHOWN else "")
    return OpenError(
        "untrusted_types",
        f"{name} holds types that skops does not trust: {shown}.",
        "They are of your own code or of other libraries, or their content could crash the process that scores: "
        "skops trusts no decision trees, for example.",
        "Train with types that skops trusts; or, if you trust whoever made the file, save the model with joblib.dump "
        "or export it to ONNX, and upload that.",
    )
