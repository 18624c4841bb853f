# SPDX-License-Identifier: Apache-2.0
"""The Java language pack: Maven makes a jar that says what its main class is; Debian's runtime runs it.

Called by `packs`; what it says is done by `executor`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from stackyard.drivers.builders.plans import APP, CACHE, VOLUME, Cure, Plan, Process, Step
from stackyard.drivers.builders.trees import Tree
from stackyard.drivers.builders.versions import Offer, Wish, choose

NAME = "Java"
MARKERS = ("pom.xml",)
SOURCES: tuple[str, ...] = ()
OFFER = Offer(NAME, "17.0", exact=1)
RUN, STACK = "stackyard/java", "stackyard/java-build"
_TOOLS, _TRUST = "/usr/local/lib/stackyard", f"{VOLUME}/trust.p12"
_TAGS = (
    *("maven.compiler.release", "maven.compiler.source", "maven.compiler.target", "java.version"),
    *("release", "source", "target"),
)
_CURES = (
    Cure(r"no jar with a Main-Class", "let a plugin write Main-Class into the manifest, or name a Procfile's command"),
    Cure(
        r"Could not transfer artifact|UnknownHostException|PluginResolutionException|Could not find artifact"
        r"|in offline mode",
        "Maven's repository could not be reached or has no such artifact: let the host reach one or name a mirror in"
        " its settings.xml",
    ),
    Cure(r"COMPILATION ERROR", "the compiler refuses the code; see its lines"),
)


def plan(tree: Tree, found: str) -> Plan:
    """Return what to build and to start; raises BadInput."""
    return Plan(
        pack="java",
        runtime=choose(OFFER, _wishes(tree), least=True),
        found=found,
        run_stack=RUN,
        build=Step(
            subject="the application",
            tool="mvn package",
            command=_command(needs_main=not tree.has("Procfile")),
            stack=STACK,
            whole_tree=True,
            produces=(f"{APP}/target",),
            leaves=tuple(f"{APP}/target/{name}" for name in _INTERMEDIATE),
            verb="built",
            cures=_CURES,
        ),
        ignores=("target",),
        processes=(
            Process("web", "java -XX:MaxRAMPercentage=75 $JAVA_OPTS -jar target/app.jar", "the jar with a Main-Class"),
        ),
    )


_INTERMEDIATE = ("generated-sources", "maven-archiver", "maven-status", "surefire-reports", "test-classes")


def _command(needs_main: bool) -> str:
    """Return the shell command that leaves the jar to run as target/app.jar."""
    missing = "echo 'the build left no jar with a Main-Class in target' >&2; exit 1" if needs_main else "exit 0"
    return (
        f'if [ -n "$SSL_CERT_FILE" ]; then java -cp {_TOOLS} Trust "$SSL_CERT_FILE" {_TRUST}\n'
        f'export MAVEN_OPTS="-Djavax.net.ssl.trustStore={_TRUST} -Djavax.net.ssl.trustStorePassword=changeit"; fi\n'
        f"mvn -B -ntp -DskipTests -Dmaven.repo.local={CACHE}/m2 $MAVEN_SETTINGS package\n"
        'for jar in target/*.jar target/*.war; do\n  [ -f "$jar" ] || continue\n'
        f'  rm -rf {CACHE}/manifest; mkdir {CACHE}/manifest; file="$PWD/$jar"\n'
        f'  (cd {CACHE}/manifest && jar xf "$file" META-INF/MANIFEST.MF) || continue\n'
        f"  if grep -qs '^Main-Class:' {CACHE}/manifest/META-INF/MANIFEST.MF; then\n"
        '    ln -f "$jar" target/app.jar; exit 0\n  fi\ndone\n'
        f"{missing}"
    )


def _wishes(tree: Tree) -> Iterator[Wish]:
    if tree.has("system.properties") and (line := tree.line("system.properties", r"^\s*java\.runtime\.version=(\S+)")):
        yield Wish(f"system.properties, line {line[0]}", line[1][1])
    for tag in _TAGS:
        if line := tree.line("pom.xml", rf"<({re.escape(tag)})>\s*(?:1\.)?(\d[\d.]*)\s*<"):
            yield Wish(f"pom.xml, line {line[0]}", line[1][2])
