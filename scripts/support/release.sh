# shellcheck shell=bash
# Another Debian release, unpacked into a folder, for its versions of the servers. Sourced after common.sh.

# Unpacks what is missing of the chosen release: its base system, RabbitMQ and PostgreSQL, about 900 MB.
ensure_release() {
    local suite mirror log=$state/unpack.log
    [ -n "$rootfs" ] || return 0
    [ ! -f "$rootfs/.complete" ] || return 0
    [ "$(id -u)" -eq 0 ] || fail "unpacking ${state##*/} needs root (debootstrap, chroot, mounts)"
    case ${state##*/} in
    debian13) suite=trixie ;;
    *) fail "there is no such release: ${state##*/}" ;;
    esac
    command -v debootstrap >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        debootstrap </dev/null >"$log" 2>&1 || fail "debootstrap is needed: apt-get install debootstrap"
    say "unpacking ${state##*/} into $rootfs (a minute or two; $log)"
    mirror=$(apt_mirror)
    # Half of one is worth nothing.
    rm -rf "$rootfs"
    mkdir -p "$rootfs"
    debootstrap --variant=minbase "$suite" "$rootfs" "$mirror" </dev/null >"$log" 2>&1 || {
        tail -n 5 "$log" >&2
        fail "debootstrap failed; see $log"
    }
    # Nothing is started while it is installed.
    printf '#!/bin/sh\nexit 101\n' >"$rootfs/usr/sbin/policy-rc.d"
    chmod 0755 "$rootfs/usr/sbin/policy-rc.d"
    # shellcheck disable=SC2016 # expanded by the inner shell
    DEBIAN_FRONTEND=noninteractive unshare --mount --propagation private -- sh -c '
        mount -t proc proc "$1/proc" || exit 1
        exec chroot "$1" apt-get install -y -q --no-install-recommends rabbitmq-server postgresql' unpack "$rootfs" \
        </dev/null >>"$log" 2>&1 || {
        tail -n 5 "$log" >&2
        fail "the servers could not be installed into $rootfs; see $log"
    }
    # PostgreSQL wants to know the name of who runs it, and the data belongs to our account.
    chroot "$rootfs" useradd --non-unique --uid "$(id -u "${account:-root}")" --gid nogroup --no-create-home neff \
        >>"$log" 2>&1 || fail "useradd failed in $rootfs; see $log"
    touch "$rootfs/.complete"
}

# The mirror that this system's own packages come from.
apt_mirror() {
    local mirror
    # shellcheck disable=SC2016 # the field's name is for apt to expand
    mirror=$(apt-get indextargets --format '$(SITE)' 'Identifier: Packages' 2>/dev/null | grep -v security | head -n 1)
    printf '%s\n' "${mirror:?apt knows no mirror; see apt-get indextargets}"
}
