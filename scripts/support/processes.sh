# shellcheck shell=bash
# Starting, recognising and stopping one background process by its process id. Sourced after common.sh.

# A pid file holds "<pid> <start time> <boot id>": a pid alone may belong to a stranger after a reboot or a wrap-around.
pid_file() { printf '%s/run/%s.pid\n' "$state" "$1"; }

# Field 22 of /proc/PID/stat; the command name before it may hold spaces, so count from the closing parenthesis.
start_time() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    stat=${stat##*) }
    # shellcheck disable=SC2086
    set -- $stat
    [ "$1" != Z ] || return 1
    printf '%s\n' "${20}"
}

boot_id() { cat /proc/sys/kernel/random/boot_id 2>/dev/null || printf 'unknown\n'; }

# Prints the pid when the recorded process still runs and its command line still holds the marker; fails otherwise.
running() {
    local name=$1 marker=$2 pid started boot
    { read -r pid started boot <"$(pid_file "$name")"; } 2>/dev/null || return 1
    [ "$boot" = "$(boot_id)" ] || return 1
    [ "$(start_time "$pid")" = "$started" ] || return 1
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "$marker" || return 1
    printf '%s\n' "$pid"
}

# launch NAME MARKER LOG COMMAND...: starts a command in a session of its own and records it. The marker is a word of
# the command line that only this server has.
launch() {
    local name=$1 marker=$2 log=$3 pid tries=50
    shift 3
    mkdir -p "$state/run"
    # Descriptor 9 is the lock of scripts/services: a server that inherited it would hold the lock for ever.
    (cd / && as_server setsid "$@") </dev/null >>"$log" 2>&1 9>&- &
    pid=$!
    printf '%s %s %s\n' "$pid" "$(start_time "$pid")" "$(boot_id)" >"$(pid_file "$name")"
    # Until the subshell has become the command it still carries our own command line.
    until running "$name" "$marker" >/dev/null || [ "$tries" -eq 0 ]; do
        sleep 0.05
        tries=$((tries - 1))
    done
}

# A dead process keeps its number until its parent collects it, and PostgreSQL takes the number for a live rival.
# Some containers never collect: hence the bound.
await_reaped() {
    local tries=50
    while [ -e "/proc/$1" ] && [ "$tries" -gt 0 ]; do
        sleep 0.1
        tries=$((tries - 1))
    done
}

# halt NAME MARKER SIGNAL SECONDS: asks politely, waits, then kills. Touches only the process that was recorded.
halt() {
    local name=$1 marker=$2 signal=$3 seconds=$4 pid tries
    if pid=$(running "$name" "$marker"); then
        kill -s "$signal" "$pid" 2>/dev/null || true
        tries=$((seconds * 10))
        while running "$name" "$marker" >/dev/null && [ "$tries" -gt 0 ]; do
            sleep 0.1
            tries=$((tries - 1))
        done
        if running "$name" "$marker" >/dev/null; then
            note "$name did not stop within $seconds s; killing process $pid"
            kill -s KILL "$pid" 2>/dev/null || true
            while running "$name" "$marker" >/dev/null; do sleep 0.1; done
        fi
        await_reaped "$pid"
    fi
    rm -f "$(pid_file "$name")"
}

# await NAME MARKER LOG SECONDS CHECK...: waits until the check succeeds; fails early when the process is gone.
await() {
    local name=$1 marker=$2 log=$3 deadline
    deadline=$((SECONDS + $4))
    shift 4
    until "$@" >/dev/null 2>&1; do
        if ! running "$name" "$marker" >/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
            note "$name did not become ready; the end of $log:"
            tail -n 15 "$log" >&2 || true
            fail "see $log. If its data is damaged: scripts/services up --fresh"
        fi
        sleep 0.2
    done
}
