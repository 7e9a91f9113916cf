#!/bin/sh
# Installs, as root on Debian, what the tests need besides Go: a C compiler for the
# race detector, the MTAs, a browser, and other implementations of DKIM and ARC. It
# starts nothing: the tests run private instances, and the machine's own MTA stays
# as it is.
set -eu

missing=
want() { # want PACKAGE FILE: PACKAGE is missing if there is no such program or file
	command -v "$2" >/dev/null 2>&1 || [ -e "$2" ] || missing="$missing $1"
}
want gcc gcc
want libc6-dev /usr/share/doc/libc6-dev
want postfix /usr/sbin/postfix
# For Sendmail: its configuration, its network, and users who authenticate.
want m4 m4
want iproute2 ip
want libsasl2-modules /usr/share/doc/libsasl2-modules
# Other implementations to compare with; the last two let dkimpy use Ed25519 and
# seal.
want python3-dkim /usr/lib/python3/dist-packages/dkim/__init__.py
want python3-nacl /usr/lib/python3/dist-packages/nacl/__init__.py
want python3-authres /usr/lib/python3/dist-packages/authres/__init__.py
want libmail-dkim-perl /usr/share/perl5/Mail/DKIM.pm
# Readers of Authentication-Results.
want libmail-authenticationresults-perl /usr/share/perl5/Mail/AuthenticationResults.pm
# Readers of From fields, to compare with.
want libmailtools-perl /usr/share/perl5/Mail/Address.pm
want mutt mutt
want ncurses-bin tic
# Scrapes authmilter and evaluates deploy/prometheus and deploy/grafana.
want prometheus prometheus

# To look at the status page.
want chromium chromium

# Debian allows only one MTA on a machine. So Sendmail is not installed but unpacked
# where test/mta looks for it; the libraries that it needs are installed.
sendmail=/var/cache/authmilter-test/sendmail
sendmail_packages="sendmail-bin sendmail-cf sasl2-bin"
sendmail_runs() {
	[ -d "$sendmail" ] && [ ! -g "$sendmail/usr/libexec/sendmail/sendmail" ] &&
		! ldd "$sendmail/usr/libexec/sendmail/sendmail" "$sendmail/usr/sbin/saslpasswd2" 2>&1 |
		grep -qi -e 'not found' -e 'no such file'
}

if [ -z "$missing" ] && sendmail_runs; then
	exit 0
fi

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
	echo "test/install.sh: cannot install$missing sendmail: needs root and apt-get" >&2
	exit 1
fi

# Debian starts services when their packages are installed, unless policy-rc.d
# forbids it (exit status 101).
policy=/usr/sbin/policy-rc.d
unpacking=$sendmail.new
trap 'rm -rf "$unpacking"' EXIT
trap 'exit 1' HUP INT TERM
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	trap 'rm -rf "$policy" "$unpacking"' EXIT
fi

export DEBIAN_FRONTEND=noninteractive
# "No configuration": an MTA that nobody has set up must not accept mail.
echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections
apt-get update -q
if ! sendmail_runs; then
	# shellcheck disable=SC2086 # a list of words
	missing="$missing $(apt-cache depends $sendmail_packages | sed -n 's/^ *Depends: \(lib.*\)/\1/p' | sort -u)"
fi
# shellcheck disable=SC2086 # a list of words
apt-get install -y -q --no-install-recommends $missing

if ! sendmail_runs; then
	rm -rf "$unpacking"
	mkdir -p "$unpacking/root"
	# shellcheck disable=SC2086 # a list of words
	(cd "$unpacking" && apt-get download -q -o APT::Sandbox::User=root $sendmail_packages)
	for package in "$unpacking"/*.deb; do
		dpkg -x "$package" "$unpacking/root"
	done
	# The kernel would not end a setgid program along with the test that started it.
	chmod -R ug-s "$unpacking/root"
	rm -rf "$sendmail"
	mv "$unpacking/root" "$sendmail"
fi
