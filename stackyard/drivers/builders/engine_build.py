# SPDX-License-Identifier: Apache-2.0
"""Dockerfiles built by the engine of the tenant's own node. Called by `tenant`."""

from __future__ import annotations

import contextlib
import json
import pathlib
import tempfile
from typing import Any, BinaryIO, cast

from stackyard.drivers.builders import context, dockerfile
from stackyard.drivers.builders.engine import BuildNode
from stackyard.drivers.builders.images import Images, Made
from stackyard.drivers.builders.limits import Limits
from stackyard.drivers.builders.output import Output
from stackyard.drivers.builders.process_guard import process_limit
from stackyard.model import errors
from stackyard.model.applications import BuildSpec
from stackyard.model.ports import Log

_SPOOL = 32 * 1024 * 1024


def build(node: BuildNode, images: Images, folder: pathlib.Path, spec: BuildSpec, limits: Limits, log: Log) -> Made:
    """Build a Dockerfile and return the image; raises GiveUp with the end of the output."""
    name = spec.dockerfile or "Dockerfile"
    text = (folder / name).read_text(errors="replace")
    wanted = dockerfile.parse(text, spec.args, spec.target).images
    mounts = tuple(mount for image in wanted for mount in images.ensure(image, log).mounts)
    output = Output(log, limits.output)
    with tempfile.SpooledTemporaryFile(max_size=_SPOOL) as stream:
        tar = cast(BinaryIO, stream)
        context.write(folder, context.files(folder, name), tar)
        tar.seek(0)
        with process_limit(node, limits.pids):
            return Made(_run(node, tar, _parameters(name, spec, limits), output), mounts)


def _run(node: BuildNode, tar: BinaryIO, parameters: dict[str, str], output: Output) -> str:
    image = ""
    headers = {"Content-Type": "application/x-tar"}
    with contextlib.closing(node.stream("/build", params=parameters, data=tar, headers=headers)) as messages:
        for message in messages:
            output.write(str(message.get("stream", "")))
            image = (message.get("aux") or {}).get("ID", image)
            if "error" in message:
                output.finish()
                raise _failed(str(message["error"]), output)
    output.finish()
    if not image:
        raise _failed("the engine told no image", output)
    return image


def _failed(reason: str, output: Output) -> errors.GiveUp:
    if "non-zero code: 137" in reason:
        reason += " (killed: most likely it needed more memory than a build may use)"
    return errors.GiveUp(f"the build failed: {reason.strip()}\nIts output ends:\n{output.tail()}")


def _parameters(name: str, spec: BuildSpec, limits: Limits) -> dict[str, str]:
    parameters: dict[str, Any] = {
        "dockerfile": name,
        "buildargs": json.dumps(spec.args),
        "rm": "1",
        "forcerm": "1",
        **limits.of_build(),
    }
    if spec.target:
        parameters["target"] = spec.target
    return {key: str(value) for key, value in parameters.items()}
