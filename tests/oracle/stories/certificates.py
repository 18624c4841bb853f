# SPDX-License-Identifier: Apache-2.0
"""Certificates of clusters and credentials."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.oracle.stories.furniture import cluster, get, ready, template
from tests.oracle.stories.templates import NONE
from tests.oracle.story import Ask, Story, reach

CERTIFICATES = "/v1/certificates"
EMPTY = {"Content-Type": "application/octet-stream"}


def _request() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "admin")])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


CSR = _request()
WRONG = (
    {"cluster_uuid": NONE, "csr": CSR},
    {"cluster_uuid": "nobody", "csr": CSR},
    {"cluster_uuid": "$c"},
    {"csr": CSR},
    {"cluster_uuid": "$c", "csr": ""},
    {"cluster_uuid": "$c", "csr": "nonsense"},
    {"cluster_uuid": "$c", "csr": None},
    {"cluster_uuid": "$c", "csr": CSR, "ca_cert_type": "nonsense"},
    {"cluster_uuid": "$c", "csr": CSR, "pem": "x"},
    {"cluster_uuid": "$c", "csr": CSR, "unknown": "x"},
    {},
    [],
)

STORIES: dict[str, Story] = {
    "read": [
        *ready(),
        *(get(f"{CERTIFICATES}/{ident}") for ident in ("$c", "c", NONE, "nobody")),
        *(
            get(f"{CERTIFICATES}/$c?ca_cert_type={kind}")
            for kind in ("kubernetes", "etcd", "front-proxy", "nonsense", "")
        ),
        get(f"{CERTIFICATES}/$c?unknown=1"),
        get(f"{CERTIFICATES}/$c/"),
    ],
    "signed": [
        *ready(),
        Ask("POST", CERTIFICATES, {"cluster_uuid": "$c", "csr": CSR}),
        Ask("POST", f"{CERTIFICATES}/", {"cluster_uuid": "c", "csr": CSR}, version="latest"),
        *(
            Ask("POST", CERTIFICATES, {"cluster_uuid": "$c", "csr": CSR, "ca_cert_type": kind})
            for kind in ("kubernetes", "etcd", "front-proxy")
        ),
        *(Ask("POST", CERTIFICATES, wrong) for wrong in WRONG),
    ],
    "by whom": [
        *ready(),
        *(get(f"{CERTIFICATES}/$c", who=who) for who in ("colleague", "reader", "other", "admin", "nothing")),
        *(
            Ask("POST", CERTIFICATES, {"cluster_uuid": "$c", "csr": CSR}, who)
            for who in ("colleague", "reader", "other", "admin")
        ),
    ],
    "rotated": [
        *ready(),
        *(Ask("PATCH", f"{CERTIFICATES}/{ident}", headers=EMPTY) for ident in (NONE, "nobody")),
        Ask("PATCH", f"{CERTIFICATES}/$c", headers=EMPTY, who="reader"),
        Ask("PATCH", f"{CERTIFICATES}/$c", headers=EMPTY, who="other"),
        Ask("PATCH", f"{CERTIFICATES}/$c", headers=EMPTY),
        get("/v1/clusters/$c"),
        Ask("PATCH", f"{CERTIFICATES}/$c", headers=EMPTY),
        reach("c"),
        get("/v1/clusters/$c"),
        Ask("PATCH", f"{CERTIFICATES}/c", headers=EMPTY, version="1.5"),
    ],
    "without tls": [
        template(tls_disabled=True),
        cluster(),
        reach("c"),
        Ask("PATCH", f"{CERTIFICATES}/$c", headers=EMPTY),
    ],
    "credentials": [
        *ready(),
        *(Ask("PATCH", "/v1/credentials/$c", headers=EMPTY, version=version) for version in ("1.11", None)),
        *(Ask("PATCH", f"/v1/credentials/{ident}", headers=EMPTY, version="1.12") for ident in (NONE, "nobody")),
        Ask("PATCH", "/v1/credentials/$c", headers=EMPTY, version="1.12", who="reader"),
        Ask("PATCH", "/v1/credentials/$c", headers=EMPTY, version="1.12"),
        get("/v1/clusters/$c"),
    ],
}
