#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

# debian_root.sh make DIR          a fresh minimal Debian 12 in DIR, from this machine's own mirror
# debian_root.sh run DIR FILE      runs the shell script FILE in the folder /srv/tka of that Debian
#
# Mirror, suites, keyrings and transport settings are those of this machine's apt. Needs root.
set -euo pipefail

suite=bookworm

# Prints the machine's binary package sources of $suite as deb lines: "options|uri suite components".
apt_sources() {
  local file
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -f "$file" ] || continue
    sed -nE 's/^deb +(\[([^]]*)\] +)?([^ ]+) +([^ ]+) +(.*)$/\2|\3 \4 \5/p' "$file"
  done
  for file in /etc/apt/sources.list.d/*.sources; do
    [ -f "$file" ] || continue
    # A stanza ends at an empty line; a key that is not for these fields is left out.
    awk '
      function flush(   i, j, n, m, u, s) {
        if (types ~ /(^| )deb( |$)/ && enabled != "no") {
          n = split(uris, u, " "); m = split(suites, s, " ")
          for (i = 1; i <= n; i++) for (j = 1; j <= m; j++)
            print (key != "" ? "signed-by=" key : "") "|" u[i] " " s[j] " " components
        }
        types = uris = suites = components = key = enabled = ""
      }
      /^[ \t]*$/ { flush(); next }
      /^#/ { next }
      { name = tolower($1); $1 = ""; sub(/^ +/, "") }
      name == "types:" { types = $0 }
      name == "uris:" { uris = $0 }
      name == "suites:" { suites = $0 }
      name == "components:" { components = $0 }
      name == "enabled:" { enabled = tolower($0) }
      name == "signed-by:" && /^\// { key = $0 }
      END { flush() }' "$file"
  done
}

suite_sources() {
  apt_sources | awk -v suite="$suite" '$2 == suite || index($2, suite "-") == 1'
}

# Mounts are made only in a mount namespace of their own: they vanish with the process, and what
# removes the root later cannot reach through them.
if unshare --mount true 2>/dev/null; then
  own_namespace=(unshare --mount --propagation private)
else
  own_namespace=()
fi

make_root() {
  local root=$1 main options mirror keyring
  main=$(suite_sources | awk -v suite="$suite" '$2 == suite && / main( |$)/' | head -n 1)
  [ -n "$main" ] || { echo "no source of Debian $suite in this machine's apt configuration" >&2; exit 1; }
  options=${main%%|*}
  mirror=${main#*|}
  mirror=${mirror%% *}
  keyring=$(tr ' ' '\n' <<<"$options" | sed -n 's/^signed-by=//p')
  [ -n "$keyring" ] || keyring=/usr/share/keyrings/debian-archive-keyring.gpg

  mkdir -p "$root"
  # What debootstrap fetches by itself does not read apt's settings: give it apt's proxy.
  local proxy
  proxy=$(apt-config dump Acquire::http::Proxy | sed -nE 's/^Acquire::http::Proxy "(.+)";$/\1/p')
  [ -z "$proxy" ] || [ "$proxy" = DIRECT ] || export http_proxy="$proxy"
  "${own_namespace[@]}" debootstrap --variant=minbase --include=ca-certificates \
    --keyring="$keyring" "$suite" "$root" "$mirror" >"$root.log" 2>&1 ||
    { tail -n 30 "$root.log" "$root/debootstrap/debootstrap.log" >&2; exit 1; }

  # The same sources, keys, transport settings, resolver and certificates as outside.
  local line key
  rm -f "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/*
  suite_sources | while IFS= read -r line; do
    options=${line%%|*}
    key=$(tr ' ' '\n' <<<"$options" | sed -n 's/^signed-by=//p')
    if [ -n "$key" ] && [ -f "$key" ]; then mkdir -p "$root${key%/*}" && cp "$key" "$root$key"; fi
    echo "deb ${options:+[$options] }${line#*|}"
  done >"$root/etc/apt/sources.list"
  apt-config dump Acquire | grep -vE '^Acquire(::IndexTargets|::Languages|::CompressionTypes|::Changelogs| )' \
    >"$root/etc/apt/apt.conf.d/90transport" || true
  cp -L /etc/resolv.conf "$root/etc/resolv.conf"
  if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
    cp --remove-destination -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  fi
  echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/unsafe-io" # this Debian lives for minutes
}

run_in_root() {
  local root=$1 script=$2
  cp "$script" "$root/srv/command.sh"
  # Without the privilege to mount, most programs do without /proc and all of /dev.
  local mounts='mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev"'
  [ ${#own_namespace[@]} -gt 0 ] || mounts='echo "no /proc here: not allowed to mount" >&2'
  "${own_namespace[@]}" sh -e -c "$mounts"'
    exec chroot "$0" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
      HOME=/root LANG=C.UTF-8 CI=true DEBIAN_FRONTEND=noninteractive \
      /bin/bash -c "cd /srv/tka && exec bash -e /srv/command.sh"' "$root" </dev/null
}

case ${1:-} in
  make) make_root "$2" ;;
  run) run_in_root "$2" "$3" ;;
  *) sed -n '5,8s/^# \?//p' "$0" >&2; exit 2 ;;
esac
