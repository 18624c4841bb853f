# SPDX-License-Identifier: Apache-2.0
"""The Ruby language pack: Bundler's gems in /opt/bundle, then Rails, Rack or a script.

Called by `packs`; what it says is done by `executor`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from stackyard.drivers.builders.packs import gemfile
from stackyard.drivers.builders.plans import APP, PROJECT, Cure, Plan, Process, Step
from stackyard.drivers.builders.trees import Tree
from stackyard.drivers.builders.versions import Offer, Wish, choose
from stackyard.model import errors

NAME = "Ruby"
MARKERS = ("Gemfile",)
SOURCES = ("config.ru",)
OFFER = Offer(NAME, "3.1.2", exact=3)  # Bundler itself refuses another patch level
STACK, COMPILER = "stackyard/ruby", "stackyard/ruby-build"
_CURES = (
    Cure(
        r"lockfile can't be updated|dependencies in your gemfile changed|deployment mode after changing|frozen mode",
        "Gemfile.lock disagrees with Gemfile: run 'bundle lock' and push it",
    ),
    Cure(
        r"does not include the current platform|Your bundle only supports platforms",
        "run 'bundle lock --add-platform x86_64-linux' and push Gemfile.lock",
    ),
    Cure(r"Could not find gem|Could not find \S+ in any of", "see Bundler's lines; 'bundle cache' vendors gems"),
)
_UNSTARTED = (
    "this is Ruby, but what starts it? Looked for a Procfile, for config/application.rb (Rails), config.ru (Rack) and"
    " app.rb, main.rb, server.rb; add a Procfile with a line such as 'web: bundle exec ruby app.rb'"
)


def plan(tree: Tree, found: str) -> Plan:
    """Return what to install and to start; raises BadInput."""
    lock = _lock(tree)
    web = _web(tree, lock)
    rails = tree.has("config/application.rb")
    return Plan(
        pack="ruby",
        runtime=choose(OFFER, _wishes(tree)),
        found=found,
        run_stack=STACK,
        install=_install(tree, lock) if lock else None,
        build=_assets() if rails and re.search(r"^    (sprockets|propshaft)", lock, re.M) else None,
        ignores=(".bundle", "vendor/bundle"),
        environment={"RACK_ENV": "production", "RAILS_ENV": "production", "RAILS_LOG_TO_STDOUT": "1"},
        processes=(web,) if web else (),
        unstarted=_UNSTARTED,
    )


def _lock(tree: Tree) -> str:
    if not tree.has("Gemfile"):
        return ""
    if not tree.has("Gemfile.lock"):
        raise errors.BadInput("Gemfile without Gemfile.lock; run 'bundle lock' and push Gemfile.lock")
    lock = tree.lock("Gemfile.lock")
    gemfile.check(tree.text("Gemfile"), lock)
    return lock


def _install(tree: Tree, lock: str) -> Step:
    local = bool(re.search(r"^PATH$", lock, re.M)) or (tree.folder / "vendor/cache").is_dir()
    offline = " --local" if (tree.folder / "vendor/cache").is_dir() else ""
    names = [name for name in ("Gemfile", "Gemfile.lock", ".ruby-version") if tree.has(name)]
    return Step(
        subject="the dependencies of Gemfile.lock",
        tool="bundle",
        command=f"bundle install --jobs 2 --retry 2{offline}",
        stack=STACK,
        files={name: tree.lock(name) for name in names},
        whole_tree=local,
        folder=APP if local else PROJECT,
        produces=("/opt/bundle",),
        compiler=COMPILER,
        cures=_CURES,
    )


def _assets() -> Step:
    return Step(
        subject="the application",
        tool="rails assets:precompile",
        command="export RAILS_ENV=production SECRET_KEY_BASE=0 SECRET_KEY_BASE_DUMMY=1\n"
        "bundle exec rails assets:precompile\nmkdir -p public/assets",
        stack=STACK,
        whole_tree=True,
        produces=(f"{APP}/public/assets",),
        verb="built",
    )


def _web(tree: Tree, lock: str) -> Process | None:
    exec_ = "bundle exec " if lock else ""
    if re.search(r"^    puma \(", lock, re.M) and tree.first("config.ru", "config/application.rb"):
        return Process("web", f"{exec_}puma -b tcp://0.0.0.0:${{PORT:-8000}}", "puma is in Gemfile.lock")
    if tree.has("config/application.rb"):
        return Process("web", f"{exec_}rails server -b 0.0.0.0 -p ${{PORT:-8000}}", "there is config/application.rb")
    if tree.has("config.ru"):
        return Process("web", f"{exec_}rackup --host 0.0.0.0 --port ${{PORT:-8000}}", "there is config.ru")
    script = tree.first("app.rb", "main.rb", "server.rb")
    return Process("web", f"{exec_}ruby {script}", f"there is {script}") if script else None


def _wishes(tree: Tree) -> Iterator[Wish]:
    if tree.has(".ruby-version") and (line := tree.line(".ruby-version", r"^\s*(?:ruby-)?([^\s#]+)")):
        yield Wish(f".ruby-version, line {line[0]}", line[1][1])
    if tree.has("Gemfile") and (line := tree.line("Gemfile", r"^\s*ruby[\s(]+((?:[\"'][^\"']+[\"'][,\s]*)+)")):
        yield Wish(f"Gemfile, line {line[0]}", re.sub(r"[\"'\s]+", " ", line[1][1]).replace(" , ", ", ").strip())
