# SPDX-License-Identifier: Apache-2.0
"""Runs third-party buildpacks inside of the workroom, as the tenant: detect, agree on a plan, build one by one.

Copied into the container by `buildpack_images`, so it knows nothing but Python's standard library (3.11) and itself.
Buildpacks speak Heroku's API (bin/detect, compile, release) or the Cloud Native Buildpack API (buildpack.toml).
"""
