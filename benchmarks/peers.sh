#!/usr/bin/env bash
# Installs the servers that `make bench` measures beside Merpati, without touching the system's own
# mail server: Exim from Debian's package, unpacked; Haraka from npm; aiosmtpd from PyPI. Postfix comes
# from the system. Everything goes to $MERPATI_PEERS, by default .ci/peers, which git ignores; on the
# system itself only Exim's libraries and its user are added (as root).
set -euo pipefail
cd "$(dirname "$0")/.."
peers="${MERPATI_PEERS:-$PWD/.ci/peers}"
mkdir -p "$peers"

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

if ! command -v smtp-source >/dev/null && [ ! -x /usr/sbin/smtp-source ]; then
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends postfix
fi

if [ ! -x "$peers/exim/usr/sbin/exim4" ]; then
  debs=$(mktemp -d)
  (cd "$debs" && apt-get download -q exim4-base exim4-daemon-light)
  mkdir -p "$peers/exim"
  for deb in "$debs"/*.deb; do dpkg -x "$deb" "$peers/exim"; done
  rm -rf "$debs"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
    libgnutls-dane0 libdb5.3 libpcre2-8-0 libidn12
fi
getent passwd Debian-exim >/dev/null || as_root useradd --system --user-group --no-create-home \
  --home-dir /nonexistent --shell /usr/sbin/nologin Debian-exim

if [ ! -x "$peers/node/node_modules/Haraka/bin/haraka" ]; then
  mkdir -p "$peers/node"
  npm install --prefix "$peers/node" --no-audit --no-fund Haraka@3
fi

if [ ! -x "$peers/aiosmtpd/bin/python" ]; then
  "${PYTHON:-python3}" -m venv "$peers/aiosmtpd"
  "$peers/aiosmtpd/bin/pip" install -q --disable-pip-version-check aiosmtpd uvloop
fi
echo "in $peers: exim, node (Haraka), aiosmtpd"
