"""Compile the Cython modules: into the wheel, or next to their source if it is editable.

Needs a C compiler and Python's headers. Without them the package is pure Python: fastavro reads
and writes records (`schemas/codec.py`), and HTTP in reads all events by steps.
"""

import shutil
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from Cython.Build import cythonize
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension
from setuptools.errors import CompileError, ExecError, LinkError, PlatformError

#: The modules and their sources. Those in Python are used as they are without a C compiler.
_MODULES = {
    "schemas.avro_compiled": "schemas/avro_compiled.pyx",
    "producer_api.events.derive.steps": "producer_api/events/derive/steps.py",
    "producer_api.events.event_compiled": "producer_api/events/event_compiled.pyx",
    "sinks.sql.conversion": "sinks/sql/conversion.py",
}
_NO_COMPILER = (CompileError, ExecError, LinkError, PlatformError)


class CompileCodec(BuildHookInterface[Any]):
    """Adds the extension module to what is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say where the extension module belongs."""
        is_editable = version == "editable"
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        targets = [module.replace(".", "/") + suffix for module in _MODULES]
        if is_editable:
            for target in targets:
                Path(self.root, target).unlink(missing_ok=True)  # of an older source
        self._folder = tempfile.mkdtemp()
        try:
            _compile(self._folder)
        except _NO_COMPILER as error:
            self.app.display_warning(f"Without the compiled modules, which are faster: {error}")
            return
        build_data["pure_python"], build_data["infer_tag"] = False, True
        for target in targets:
            output = Path(self._folder, target)
            if is_editable:
                shutil.copyfile(output, Path(self.root, target))
            else:
                build_data["force_include"][str(output)] = target

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - hatchling's signature
        """Remove temporary files."""
        shutil.rmtree(self._folder)


def _compile(folder: str) -> None:
    """Compile the modules into a folder; raises one of `_NO_COMPILER` if that is not possible."""
    # Debugging information would hold the folder's name: no two wheels would be the same.
    extensions = [
        Extension(module, [source], extra_compile_args=["-g0"])
        for module, source in _MODULES.items()
    ]
    distribution = Distribution({"ext_modules": cythonize(extensions, build_dir=folder)})
    command = distribution.get_command_obj("build_ext")
    command.build_lib = command.build_temp = folder
    command.ensure_finalized()
    command.run()
