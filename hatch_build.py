"""Compiles the search kernel while the package is built; without a compiler the package is built without it."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension

KERNEL = Extension(
    "app.replica._kernel",
    ["app/replica/_kernel.c"],
    extra_compile_args=[] if os.name == "nt" else ["-O3", "-std=gnu11"],
    py_limited_api=True,  # one file for all versions of Python
    optional=True,
)


class KernelBuildHook(BuildHookInterface):
    """For wheels, editable ones too."""

    def initialize(self, _version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        command = Distribution({"ext_modules": [KERNEL]}).get_command_obj("build_ext")
        command.inplace = True
        with TemporaryDirectory() as folder:
            command.build_temp = command.build_lib = folder
            command.ensure_finalized()
            command.run()
        if Path(command.get_ext_fullpath(KERNEL.name)).exists():
            build_data |= {"pure_python": False, "infer_tag": True}
            build_data["artifacts"].append("app/replica/*.so")
