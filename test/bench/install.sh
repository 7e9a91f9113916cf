#!/bin/sh
# Installs, as root on Debian, the other implementations that the bench compares
# with. It starts nothing: the bench runs private instances.
set -eu

missing=
for package in opendkim opendmarc rspamd; do
	[ -e "/usr/sbin/$package" ] || [ -e "/usr/bin/$package" ] || missing="$missing $package"
done
if [ -z "$missing" ]; then
	exit 0
fi

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
	echo "test/bench/install.sh: cannot install$missing: needs root and apt-get" >&2
	exit 1
fi

# Debian starts services when their packages are installed, unless policy-rc.d
# forbids it (exit status 101).
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	trap 'exit 1' HUP INT TERM
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
# OpenDMARC would ask for a database for its reports.
echo 'opendmarc opendmarc/dbconfig-install boolean false' | debconf-set-selections
apt-get update -q
# shellcheck disable=SC2086 # a list of words
apt-get install -y -q --no-install-recommends $missing
