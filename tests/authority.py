"""A certificate authority for the tests, made by openssl."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.children import WAIT_S_MAX


@dataclass(frozen=True)
class Authority:
    """A certificate authority of one's own, in a folder."""

    directory: Path

    def create(self) -> None:
        name = ["-subj", "/CN=Sentinel test authority"]
        self._openssl("req", "-x509", "-newkey", *NEW_KEY, "-out", "ca.pem", *name, *SIGNS)

    def issue(self, name: str, *, host: str = "127.0.0.1") -> None:
        """`name.pem` and `name.key`, for one host; `name.both` holds them for Kafka."""
        kind = "IP" if host[0].isdigit() else "DNS"
        signed = ["-CA", "ca.pem", "-CAkey", "key.pem", "-addext", f"subjectAltName={kind}:{host}"]
        key = ["-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key"]
        self._openssl(
            "req", "-x509", *key, *signed, "-out", f"{name}.pem", "-subj", f"/CN={name}", *SIGNS
        )
        both = (self.path(f"{name}.key"), self.path(f"{name}.pem"))
        Path(self.path(f"{name}.both")).write_text("".join(Path(p).read_text() for p in both))

    def path(self, name: str) -> str:
        return str(self.directory / name)

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(
            ["openssl", *arguments],
            cwd=self.directory,
            check=True,
            capture_output=True,
            timeout=WAIT_S_MAX,
        )


# From Python 3.13 on certificates are held against RFC 5280; openssl makes one that may sign.
SIGNS = ("-addext", "keyUsage=critical,digitalSignature,keyCertSign")
NEW_KEY = ("rsa:2048", "-nodes", "-keyout", "key.pem")
