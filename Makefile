# SPDX-License-Identifier: Apache-2.0
# Each target brings what it needs, and can be run again at any point.

PYTHON := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help demo test test-faults test-openstack test-stacks test-oracle test-tempest test-tempest-openstack lint bench clean

help:  ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo:  ## From nothing to a running application: platform, cluster, two pushes; ends with its URL.
	@tools/bootstrap.sh
	@$(PYTHON) tools/demo.py

test:  ## Install what the tests need and run them all.
	@tools/bootstrap.sh --test
	@$(PYTHON) -m pytest -n 2 --no-loadscope-reorder

test-faults:  ## Run the tests that take minutes: nodes, disks and Engines that fail, at every moment.
	@tools/bootstrap.sh --test
	@$(PYTHON) -m pytest -m slow

test-openstack:  ## Deploy OpenStack's own services from images that are made here, and use them with its client.
	@tools/bootstrap.sh --openstack
	@$(PYTHON) -m pytest -m openstack tests/platform/test_openstack_deploy.py tests/platform/test_openstack_secrets.py tests/drivers/test_openstack_options.py

test-stacks:  ## Build and serve the samples of all language packs, those whose stacks take minutes to make too.
	@tools/bootstrap.sh --test
	@$(PYTHON) -m pytest -m "stacks or engine" tests/drivers/test_builders_packs.py

test-oracle:  ## Ask Magnum's own API (from PyPI) and this one the same questions, and compare the answers.
	@tools/bootstrap.sh --test
	@tools/bootstrap.sh --oracle
	@$(PYTHON) -m pytest tests/oracle

test-tempest:  ## Run OpenStack's own tests of Magnum (those that need no cluster) against the one-machine platform.
	@tools/bootstrap.sh --tempest
	@$(PYTHON) -m tools.tempest

test-tempest-openstack:  ## Run OpenStack's own tests (identity, image, network, orchestration) against the OpenStack deployed here.
	@tools/bootstrap.sh --tempest
	@$(PYTHON) -m tools.tempest_openstack

lint:  ## Check form, types and the direction of imports.
	@tools/bootstrap.sh
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

bench:  ## Measure the figures that count, each beside its floor.
	@tools/bootstrap.sh --test
	@tools/bootstrap.sh --oracle
	@$(PYTHON) -m tools.bench

clean:  ## Remove what was made in this folder (the platform's own data: stackyard down --purge).
	@rm -rf .venv .venv-oracle .venv-tempest build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
