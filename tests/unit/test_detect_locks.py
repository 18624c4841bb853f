# SPDX-License-Identifier: Apache-2.0
"""Lock files that are older than their manifests: refused by the packs with the difference and the cure, and no others.

The digests are what Poetry 2.5, Pipenv's plette and Composer's own repository have for these manifests.
"""

import hashlib
import json
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard.drivers.builders import tree_plans
from stackyard.drivers.builders.packs import composer_lock, gemfile, go_sums, python_locks
from stackyard.model import errors

POETRY = """
[tool.poetry]
name = "me"
version = "1.0"
description = ""
authors = []
package-mode = false
[tool.poetry.dependencies]
python = "^3.11"
click = "^8"
[tool.poetry.group.dev.dependencies]
six = "*"
"""
POETRY_2 = """
[project]
name = "me"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["click (>=8,<9)"]
[dependency-groups]
dev = ["six"]
[tool.poetry]
package-mode = false
"""
PIPFILE = """
[[source]]
url = "https://index.example/simple"
verify_ssl = true
name = "index"
[packages]
click = ">=8"
[dev-packages]
[docs]
six = "*"
[requires]
python_version = "3.11"
[scripts]
x = "y"
"""
POETRY_HASH = "a44247f32f64a76ea6b4c04bf4afe896bea28c863266882991eea5bdeb8e0c1d"
POETRY_2_HASHES = (
    "e6eb03464727ea013af19e32e0bb1a3cb9ab06ef27e38b7420600c85091891c8",
    "62d18b1e64d1d4e8501547283466f0c0f17b0f1db3d78718f46122a88f5f4d30",
)
PIPFILE_HASH = "a774dd6240eb8a66a2e9e2eb4ec9a7909827f9bb3c1b3ad0315e7f561caa69aa"
CLICK = "[[package]]\nname = 'click'\nversion = '8.1.0'\n"
UV = "[project]\nname = 'me'\nversion = '1'\ndependencies = ['Click >=8, <9', 'tomli; python_version<\"3.11\"']\n"
UV_LOCK = f"""{CLICK}
[[package]]
name = "me"
version = "1"
source = {{ virtual = "." }}
[package.metadata]
requires-dist = [
    {{ name = "click", specifier = "<9,>=8" }},
    {{ name = "idna", marker = "extra == 'x'" }},
    {{ name = "tomli", marker = "python_full_version < '3.11'" }},
]
"""
GO = 'module a\n\ngo 1.19\n\nrequire b.org/x v1.0.0 // indirect\nrequire (\n\t"b.org/y" v1.2.0\n\tb.org/z v0.1.0\n)\n'
GO += "replace (\n\tb.org/z => ./z\n\tb.org/y v1.2.0 => c.org/y v1.3.0\n)\n"
GO_SUM = "b.org/x v1.0.0/go.mod h1:a=\nc.org/y v1.3.0 h1:b=\nc.org/y v1.3.0/go.mod h1:c=\n"
VENDORED = "# b.org/x v1.0.0\n## explicit\n# b.org/y v1.2.0 => c.org/y v1.3.0\n## explicit\nc.org/y\n"
GEMFILE = """
source "https://index.example"
ruby "3.1.2"
gem "rack", "~> 2.0", ">= 2.0.1"  # the base
gem 'puma', '6.0.0', require: false
gem "near", path: "near"
group :test do
  gem("rspec")
end
"""
GEM_LOCK = """GEM
  specs:
    puma (6.0.0)

DEPENDENCIES
  near!
  puma (= 6.0.0)
  rack (>= 2.0.1, ~> 2.0)
  rspec

BUNDLED WITH
   2.3.15
"""
COMPOSER = {"name": "a/b", "require": {"php": "^8.1", "Psr/Log": "^3.0", "c/d": "dev-main"}, "extra": {}}
COMPOSER_LOCK = {"packages": [{"name": "psr/log", "version": "v3.0.2"}, {"name": "c/d", "version": "dev-main"}]}
NODE = {"scripts": {"start": "x"}, "dependencies": {"ms": "^2.1.0", "@a/b": "1.x", "near": "file:./near"}}
NPM_LOCK = {
    "packages": {
        "": {},
        "node_modules/ms": {"version": "2.1.3"},
        "node_modules/@a/b": {"version": "1.9.0"},
        "node_modules/near": {"link": True},
    }
}
YARN_LOCK = '# yarn lockfile v1\n\n"@a/b@1.x", "@a/b@^1.2":\n  version "1.9.0"\n\nms@^2.1.0:\n  version "2.1.3"\n'
YARN_4_LOCK = '__metadata:\n  version: 8\n\n"@a/b@npm:1.x":\n  version: 1.9.0\n\n"ms@npm:^2.1.0":\n  version: 2.1.3\n'
PNPM_LOCK = """lockfileVersion: '9.0'

importers:

  .:
    dependencies:
      '@a/b':
        specifier: 1.x
        version: 1.9.0
      ms:
        specifier: ^2.1.0
        version: 2.1.3
      near:
        specifier: file:./near
        version: file:near

packages:
"""

Files = dict[str, object]


def write(folder: pathlib.Path, files: Files) -> pathlib.Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def poetry(lock_hash: str) -> str:
    return f"{CLICK}[metadata]\nlock-version = '2.0'\ncontent-hash = '{lock_hash}'\n"


def pipenv(lock_hash: str) -> dict[str, object]:
    return {"_meta": {"hash": {"sha256": lock_hash}}, "default": {"click": {"version": "==8.1.0"}}}


def python(**files: object) -> Files:
    return {"app.py": "", **{name.replace("_", "."): content for name, content in files.items()}}


def go(mod: str, name: str, text: str) -> Files:
    return {"go.mod": mod, "m.go": "package main", name: text}


def ruby(manifest: str, lock: str = GEM_LOCK) -> Files:
    return {"app.rb": "", "Gemfile": manifest, "Gemfile.lock": lock}


def php(manifest: dict[str, object], lock: object = COMPOSER_LOCK) -> Files:
    return {"index.php": "", "composer.json": manifest, "composer.lock": lock}


def node(name: str, lock: object, **more: str) -> Files:
    return {"package.json": {**NODE, "dependencies": {**NODE["dependencies"], **more}}, name: lock}  # type: ignore[dict-item]


AGREE: dict[str, Files] = {
    "poetry": python(pyproject_toml=POETRY, poetry_lock=poetry(POETRY_HASH)),
    "poetry 2.3": python(pyproject_toml=POETRY_2, poetry_lock=poetry(POETRY_2_HASHES[0])),
    "poetry 2.0": python(pyproject_toml=POETRY_2, poetry_lock=poetry(POETRY_2_HASHES[1])),
    "uv": python(pyproject_toml=UV, uv_lock=UV_LOCK),
    "pipenv": python(Pipfile=PIPFILE, Pipfile_lock=pipenv(PIPFILE_HASH)),
    "pipenv, no manifest": python(Pipfile_lock=pipenv("0"), requirements_txt=""),
    "go": go(GO, "go.sum", GO_SUM),
    "go, vendored": go(GO, "vendor/modules.txt", VENDORED),
    "go, nothing required": go("module a\n", "go.sum", ""),
    "ruby": ruby(GEMFILE),
    "ruby, a condition": ruby(GEMFILE + "if ENV['X']\n  gem 'absent'\nend\ngem 'also' if ENV['Y']\n"),
    "ruby, not literal": ruby(GEMFILE.replace("'6.0.0'", "PUMA").replace('gem("rspec")', "%w[rspec].each do |g|\nend")),
    "ruby, commented out": ruby(GEMFILE + "=begin\ngem 'absent'\n=end\n# gem 'other'\n__END__\ngem 'more'\n"),
    "php": php(COMPOSER),
    "php, provided": php(
        {"require": {"x/y": "^1"}}, {"packages": [{"name": "z/z", "version": "2", "provide": {"x/y": "9"}}]}
    ),
    "npm": node("package-lock.json", NPM_LOCK),
    "npm 6": node(
        "package-lock.json", {"dependencies": {"ms": {"version": "2.1.3"}, "@a/b": {"version": "1.9.0"}, "near": {}}}
    ),
    "npm, a tag": node("package-lock.json", NPM_LOCK, ms="latest"),
    "yarn": node("yarn.lock", YARN_LOCK),
    "yarn 4": node("yarn.lock", YARN_4_LOCK),
    "pnpm": node("pnpm-lock.yaml", PNPM_LOCK),
}

DISAGREE: list[tuple[Files, str]] = [
    (
        python(pyproject_toml=POETRY.replace("^8", "^9"), poetry_lock=poetry(POETRY_HASH)),
        "poetry.lock disagrees with pyproject.toml: the dependencies were changed after they were locked; run 'poetry"
        " lock' and push poetry.lock",
    ),
    (
        python(pyproject_toml=POETRY_2.replace("six", "idna"), poetry_lock=poetry(POETRY_2_HASHES[0])),
        "the dependencies were changed after they were locked; run 'poetry lock'",
    ),
    (
        python(pyproject_toml=POETRY.replace("click", "flask"), poetry_lock=CLICK),
        "poetry.lock disagrees with pyproject.toml: it has no flask; run 'poetry lock' and push poetry.lock",
    ),
    (
        python(pyproject_toml=POETRY_2.replace(">=8,<9", ">=9"), poetry_lock=CLICK),
        "it has click 8.1.0 where 'click>=9' is asked for; run 'poetry lock'",
    ),
    (
        python(pyproject_toml=UV.replace(">=8", ">=8.1"), uv_lock=UV_LOCK),
        "uv.lock disagrees with pyproject.toml: it has not locked 'Click<9,>=8.1'; run 'uv lock' and push uv.lock",
    ),
    (python(pyproject_toml=UV.replace("'Click", "'flask', 'Click"), uv_lock=UV_LOCK), "it has not locked 'flask'"),
    (python(pyproject_toml=UV.replace("'Click >=8, <9', ", ""), uv_lock=UV_LOCK), "click is no longer asked for"),
    (python(pyproject_toml=UV.replace("'Click", "'flask', 'Click"), uv_lock=CLICK), "it has no flask; run 'uv lock'"),
    (
        python(Pipfile=PIPFILE.replace(">=8", ">=9"), Pipfile_lock=pipenv(PIPFILE_HASH)),
        "Pipfile.lock disagrees with Pipfile: Pipfile was changed after it was locked; run 'pipenv lock' and push",
    ),
    (
        python(Pipfile=PIPFILE.replace("click", "flask"), Pipfile_lock=pipenv(PIPFILE_HASH)),
        "it has no flask; run 'pipenv lock' and push Pipfile.lock",
    ),
    (
        go(GO, "go.sum", GO_SUM.replace("b.org/x v1.0.0", "b.org/x v1.0.1")),
        "go.sum disagrees with go.mod: it has no b.org/x v1.0.0; run 'go mod tidy' and push go.sum",
    ),
    (go(GO.replace("=> c.org/y v1.3.0", "=> c.org/y v1.4.0"), "go.sum", GO_SUM), "it has no c.org/y v1.4.0"),
    (go(GO, "README", ""), "go.mod requires modules but there is no go.sum; run 'go mod tidy' and push go.sum"),
    (
        go(GO.replace("b.org/x v1.0.0", "b.org/x v1.1.0"), "vendor/modules.txt", VENDORED),
        "vendor/modules.txt disagrees with go.mod: it has no b.org/x v1.1.0; run 'go mod vendor' and push",
    ),
    (
        ruby(GEMFILE + "gem 'sinatra'\n"),
        "Gemfile.lock disagrees with Gemfile: it has no sinatra; run 'bundle lock' and push Gemfile.lock",
    ),
    (ruby(GEMFILE.replace("6.0.0", "6.1.0")), "it has locked puma for = 6.0.0, not = 6.1.0; run 'bundle lock'"),
    (ruby(GEMFILE.replace(', ">= 2.0.1"', "")), "it has locked rack for >= 2.0.1, ~> 2.0, not ~> 2.0"),
    (ruby(GEMFILE.replace('gem("rspec")', "")), "rspec is no longer asked for; run 'bundle lock'"),
    (
        php({**COMPOSER, "require": {"monolog/monolog": "^3"}}),
        "composer.lock disagrees with composer.json: it has no monolog/monolog; run 'composer update monolog/monolog'"
        " and push composer.lock",
    ),
    (php({"require": {"psr/log": "^2.0"}}), "it has psr/log v3.0.2 where ^2.0 is asked for; run 'composer update"),
    (
        node("package-lock.json", NPM_LOCK, left="1"),
        "package-lock.json disagrees with package.json: it has no left; run 'npm install' and push package-lock.json",
    ),
    (node("npm-shrinkwrap.json", NPM_LOCK, ms="2.0.0"), "it has ms 2.1.3 where 2.0.0 is asked for; run 'npm install'"),
    (node("package-lock.json", {}), "it has no ms; run 'npm install'"),
    (node("yarn.lock", YARN_LOCK, ms="^2.1.1"), "it has not locked ms ^2.1.1; run 'yarn install' and push yarn.lock"),
    (node("yarn.lock", YARN_4_LOCK, left="1"), "it has not locked left 1; run 'yarn install'"),
    (node("pnpm-lock.yaml", PNPM_LOCK, ms="^3"), "it has not locked ms ^3; run 'pnpm install' and push pnpm-lock"),
]


@pytest.mark.parametrize("name", AGREE)
def test_a_lock_file_of_this_manifest_is_taken(tmp_path: pathlib.Path, name: str) -> None:
    made = tree_plans.plan(write(tmp_path, AGREE[name])).as_dict()
    assert [service["name"] for service in made["services"]] == ["web"]


@pytest.mark.parametrize(("files", "words"), DISAGREE)
def test_a_lock_file_of_another_manifest_is_refused(tmp_path: pathlib.Path, files: Files, words: str) -> None:
    with pytest.raises(errors.BadInput) as caught:
        tree_plans.plan(write(tmp_path, files))
    assert words in str(caught.value)


def test_a_manifest_changed_where_it_does_not_matter_is_only_told(tmp_path: pathlib.Path) -> None:
    note = "composer.json was changed after composer.lock was made; run 'composer update --lock' and push it"
    kept = {**COMPOSER_LOCK, "content-hash": composer_lock.content_hash(COMPOSER)}
    assert note not in tree_plans.plan(write(tmp_path, php(COMPOSER, kept))).spec.notes
    assert note not in tree_plans.plan(write(tmp_path, php({**COMPOSER, "description": "x"}, kept))).spec.notes
    assert note in tree_plans.plan(write(tmp_path, php({**COMPOSER, "extra": {"x": 1}}, kept))).spec.notes


def test_the_digest_of_composer() -> None:
    """Slashes and accents as PHP writes them, an empty object as an empty list, order by name of the sections."""
    manifest = {"require": {"a/b": "^1"}, "name": "é/x", "extra": {}, "config": {"platform": {"php": "8.2"}, "x": 1}}
    text = r'{"config":{"platform":{"php":"8.2"}},"extra":[],"name":"\u00e9\/x","require":{"a\/b":"^1"}}'

    assert composer_lock.content_hash(manifest) == hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_texts_are_read_or_refused(manifest: str, lock: str) -> None:
    list(go_sums.modules(f"require (\n{manifest}\n)\nreplace {lock}\n"))
    try:
        gemfile.check(f"gem '{manifest}\n{lock}", f"DEPENDENCIES\n  {lock}\n")
    except errors.BadInput:
        return


@given(
    st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_documents_of_any_form_are_read_or_refused(anything: object) -> None:
    manifest = {"project": {"dependencies": anything}, "tool": {"poetry": {"dependencies": anything}}}
    for lock in ({"package": anything, "metadata": anything}, {"package": [{"name": anything, "metadata": anything}]}):
        for name in ("uv.lock", "poetry.lock"):
            try:
                python_locks.check(name, lock, manifest)
            except errors.BadInput:
                continue
