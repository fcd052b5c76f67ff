# shellcheck shell=bash
# Paths, messages, and the account that the private servers run under. Sourced by every script here.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
state=$root/.local
# The folder that another Debian release is unpacked in, for servers that come from there; empty for this system's own.
rootfs=
# Debian's own interpreter: python3-aiosmtpd is not visible to another one found earlier on PATH.
# shellcheck disable=SC2034
python=/usr/bin/python3

say() { printf '%s\n' "$*"; }
note() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
fail() {
    note "$*"
    exit 1
}

# PostgreSQL refuses to run as root, so root hands the servers to the account that Debian's package made for it.
account=
if [ "$(id -u)" -eq 0 ]; then
    account=postgres
fi

# Runs a command as that account. setpriv replaces itself with the command, so the process id stays the caller's.
as_account() {
    if [ -n "$account" ]; then
        setpriv --reuid "$account" --regid "$(id -g "$account")" --init-groups -- "$@"
    else
        "$@"
    fi
}

# choose_release NAME: servers come from another Debian release, with state of their own beside .local's.
choose_release() {
    case $1 in
    debian12) ;;
    debian13)
        state=$root/.local/debian13
        rootfs=$state/root
        ;;
    *) fail "there is no release $1: debian12 (this system's own packages) or debian13" ;;
    esac
}

# Becomes a server's program, under the account. From another release it runs in that release's folder, in mounts of its
# own, with its state at the path where we see it too.
as_server() {
    local owner
    owner=${account:-$(id -un)}
    if [ -z "$rootfs" ]; then
        [ -n "$account" ] || exec "$@"
        exec setpriv --reuid "$account" --regid "$(id -g "$account")" --init-groups -- "$@"
    fi
    # shellcheck disable=SC2016 # expanded by the inner shell
    exec unshare --mount --propagation private -- sh -c '
        rootfs=$1 state=$2 data=$3 owner=$4
        shift 4
        mount -t proc proc "$rootfs/proc" && mount --rbind /dev "$rootfs/dev" || exit 1
        # The broker looks up the name of its host with every connection, and waits 5 s for a name server if need be.
        touch "$rootfs/etc/hosts" && mount --bind /etc/hosts "$rootfs/etc/hosts" || exit 1
        for folder in "$state" "$data"; do
            mkdir -p "$rootfs$folder" && mount --bind "$folder" "$rootfs$folder" || exit 1
        done
        exec chroot --userspec="$owner" "$rootfs" "$@"' as-server \
        "$rootfs" "$state" "$(data_root)" "$(id -u "$owner"):$(id -g "$owner")" "$@"
}

# Where server data lives: .local itself, unless the account cannot reach it (a checkout under /root) or the path is
# too long for a unix socket (107 bytes). Then .local/<server> is a symbolic link into a folder under /var/tmp.
data_root() {
    if as_account test -x "$state" 2>/dev/null && [ "${#state}" -le 70 ]; then
        printf '%s\n' "$state"
    else
        printf '/var/tmp/neff-%s\n' "$(state_hash)"
    fi
}

# Names what must be unique on this machine: this checkout, and the release.
state_hash() {
    local path=$root
    [ -z "$rootfs" ] || path=$state
    printf '%s' "$path" | sha256sum | cut -c1-10
}

# Makes the data folder of one server, owned by the account, and links it from .local when it lies elsewhere.
place() {
    local name=$1 base dir
    base=$(data_root)
    if [ "$base" != "$state" ]; then
        [ -d "$base" ] || mkdir -m 0755 "$base"
        if [ -L "$base" ] || [ ! -O "$base" ]; then
            fail "$base belongs to somebody else; remove it or move the checkout"
        fi
        [ -L "$state/$name" ] || rm -rf "${state:?}/$name"
        ln -sfn "$base/$name" "$state/$name"
    fi
    dir=$base/$name
    mkdir -p "$dir"
    chmod 0700 "$dir"
    if [ -n "$account" ] && [ "$(stat -c %U "$dir")" != "$account" ]; then
        chown -R "$account:" "$dir"
    fi
}

# Writes stdin to a file that only the account can read.
private_file() {
    local path=$1
    (umask 077 && cat >"$path.new")
    [ -z "$account" ] || chown "$account:" "$path.new"
    mv "$path.new" "$path"
}

# A password kept in .local/secrets, made on first use.
secret() {
    local path=$state/secrets/$1
    if [ ! -s "$path" ]; then
        (umask 077 && mkdir -p "$state/secrets" && openssl rand -hex 24 >"$path.new" && mv "$path.new" "$path")
    fi
    cat "$path"
}

# Each has a broker user neff-<role> and a database log-in neff_login_<role>.
# shellcheck disable=SC2034
service_roles="ingress sync scheduling notification deadletters operator"

need_swift() {
    command -v swift >/dev/null 2>&1 || fail "Swift 6.2 or newer is needed and was not found on PATH.
Install it from https://www.swift.org/install/linux/ (swiftly install latest), then run this again."
}
