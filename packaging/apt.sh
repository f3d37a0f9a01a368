#!/usr/bin/env bash
# Installs the Debian packages that a target of the Makefile uses, saying so first.
#   apt.sh scanners   what the demo starts: spamd, clamd
#   apt.sh peers      those, and what the tests speak with: swaks, openssl, Postfix, PostgreSQL, rspamd,
#                     c-icap, HAProxy, unbound, packers
#   apt.sh bench      those, and what MPP is measured beside: amavisd-new, spamc
# Installs only as root with apt-get. Postfix would replace another mail server, so it comes only with CI=true or
# MPP_APT=1. No service is started: policy-rc.d says no during the call, and what is new is disabled for the next boot.
# Where it may not install it says what is missing and ends with 0: the demo and the tests go on with what there is.
set -u
PATH=$PATH:/usr/sbin:/sbin

missing=() # packages to install
withheld=() # packages that would be installed if asked for

package() { # package PACKAGE PROGRAM: wanted where the program is not there
    command -v "$2" >/dev/null || missing+=("$1")
}

library() { # library PACKAGE FILE: wanted where the loader does not know the shared library
    ldconfig -p | grep -q "$2" || missing+=("$1")
}

package spamd spamd
package clamav-daemon clamd
library libmagic1 libmagic.so.1
library libarchive13 libarchive.so.13
if [ "${1:-}" = bench ]; then
    package amavisd-new amavisd
    package spamc spamc
fi
if [ "${1:-}" != scanners ]; then
    package swaks swaks
    package openssl openssl
    [ -n "$(ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null)" ] || missing+=(postgresql)
    package rspamd rspamd
    package c-icap c-icap
    [ -n "$(ls /usr/lib/*/c_icap/virus_scan.so 2>/dev/null)" ] || missing+=(libc-icap-mod-virus-scan)
    package unbound unbound
    package haproxy haproxy
    package p7zip-full 7z
    package arj arj
    package lhasa lha
    package zip zip
    mta=()
    command -v postfix >/dev/null || mta+=(postfix)
    [ -e /usr/lib/postfix/postfix-pcre.so ] || mta+=(postfix-pcre)
    if [ "${CI:-}" = true ] || [ "${MPP_APT:-}" = 1 ]; then missing+=(${mta[@]+"${mta[@]}"}); else withheld=(${mta[@]+"${mta[@]}"}); fi
fi

if [ ${#withheld[@]} -gt 0 ]; then
    echo "Not installed: ${withheld[*]}, since it would replace another mail server here. Where that is right: MPP_APT=1 make ..."
fi
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Not installed: ${missing[*]}. This installs it:  sudo apt-get install ${missing[*]}"
    exit 0
fi

echo "Installing Debian packages: ${missing[*]} (their services are neither started nor enabled)"
policy=/usr/sbin/policy-rc.d
kept=
log=$(mktemp)
if [ -e $policy ]; then
    kept=$(mktemp)
    cp -p $policy "$kept"
fi
restore() {
    if [ -n "$kept" ]; then mv -f "$kept" $policy; else rm -f $policy; fi
    rm -f "$log"
}
trap restore EXIT
trap 'exit 130' INT TERM
printf '#!/bin/sh\nexit 101\n' >$policy
chmod 755 $policy

services() {
    find /etc/init.d /lib/systemd/system -maxdepth 1 \( -path '/etc/init.d/*' -o -name '*.service' -o -name '*.socket' -o -name '*.timer' \) 2>/dev/null | sort
}
known=$(services)

export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update && apt-get install --yes --no-install-recommends "${missing[@]}"; } </dev/null >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    echo "apt-get could not install: ${missing[*]} (its last lines are above). Going on with what there is." >&2
fi
comm -13 <(echo "$known") <(services) | while read -r path; do
    name=${path##*/}
    case $path in
        /etc/init.d/*) update-rc.d "$name" disable ;;
        *) deb-systemd-helper disable "$name" ;;
    esac
done >/dev/null 2>&1
exit 0
