# shellcheck shell=bash
# Running the built program: a database and virtual host of its own, and one background process for each role. Sourced
# after common.sh; needs .local/env.

program_home=$state/demo

# program_prepare NAME: drops and makes database neff_NAME and virtual host neff_NAME and points the environment there.
# Nothing of the program may run.
program_prepare() {
    local name=neff_$1 base
    # Journals of an earlier database would be told to this one.
    rm -rf "$program_home/state"
    mkdir -p "$program_home/log" "$program_home/run" "$program_home/state"
    rm -f "$program_home"/log/*
    base=${DATABASE_URL%/*}
    database_shell -c "set client_min_messages = error" -c "drop database if exists $name with (force)" -c "create database $name"
    export DATABASE_URL=$base/$name
    broker_request DELETE "/api/vhosts/$name" || true
    broker_request PUT "/api/vhosts/$name"
    broker_request PUT "/api/permissions/$name/neff" '{"configure":".*","write":".*","read":".*"}'
    export AMQP_URL=${AMQP_URL%/*}/$name
    NEFF_HTTP_ADDRESS=127.0.0.1:$(free_port)
    export NEFF_HTTP_ADDRESS
    export NEFF_STATE_DIR=$program_home/state
    (
        umask 077
        cat >"$program_home/env" <<ENV
. '$state/env'
export DATABASE_URL='$DATABASE_URL'
export AMQP_URL='$AMQP_URL'
export NEFF_HTTP_ADDRESS='$NEFF_HTTP_ADDRESS'
export NEFF_STATE_DIR='$NEFF_STATE_DIR'
ENV
    )
}

# program_install NEFF: makes schema, topology, log-ins and users, as the administrator.
program_install() {
    "$1" migrate up
    "$1" roles apply
    "$1" topology apply
}

# program_as ROLE COMMAND...: runs a command as one role.
program_as() (become "$@")

# Turns this shell into a command that has a role's broker user and database log-in, and nobody else's passwords. They
# go through the environment: others can see arguments.
become() {
    local role=$1 broker database name
    shift
    broker=NEFF_BROKER_PASSWORD_${role^^}
    database=NEFF_DATABASE_PASSWORD_${role^^}
    [ -n "${!broker-}" ] || fail "$state/env has no passwords for $role; run scripts/services up"
    AMQP_URL=amqp://neff-$role:${!broker}@${AMQP_URL##*@}
    DATABASE_URL=postgres://neff_login_$role:${!database}@${DATABASE_URL##*@}
    # Only people look at the broker's management API.
    if [ "$role" = operator ]; then
        RABBITMQ_MANAGEMENT_URL=http://neff-operator:${!broker}@${RABBITMQ_MANAGEMENT_URL##*@}
    else
        unset RABBITMQ_MANAGEMENT_URL
    fi
    for name in $(compgen -e | grep -E '^(NEFF_(BROKER|DATABASE)_PASSWORD|AMQP_URL|DATABASE_URL)_' || true); do
        unset "$name"
    done
    unset AMQPS_URL DATABASE_TLS_URL
    export AMQP_URL DATABASE_URL
    exec "$@"
}

# The role that a command of the program works as.
role_of() {
    case "$2" in
    worker) printf '%s\n' "${3//-/}" ;;
    *) printf '%s\n' "$2" ;;
    esac
}

# psql on the server's maintenance database. The password goes through the environment: others can see arguments.
database_shell() {
    local rest=${DATABASE_URL#*://} credentials server
    credentials=${rest%@*}
    server=${rest##*@}
    server=${server%%/*}
    PGPASSWORD=${credentials#*:} psql -qX -v ON_ERROR_STOP=1 -h "${server%:*}" -p "${server##*:}" -U "${credentials%%:*}" \
        -d postgres "$@"
}

# A request to the management API; credentials go through a configuration on standard input, not through arguments.
broker_request() {
    local method=$1 path=$2 body=${3-}
    printf 'url = "%s%s"\n' "$RABBITMQ_MANAGEMENT_URL" "$path" |
        curl -sS --fail-with-body -o /dev/null --max-time 30 -X "$method" -H 'content-type: application/json' \
            -d "$body" -K - 2>/dev/null
}

free_port() {
    "$python" -c 'import socket
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    print(s.getsockname()[1])'
}

# program_start NAME COMMAND...: starts a service under its own role, with its own admin port and log.
program_start() {
    local name=$1 port
    shift
    port=$(free_port)
    NEFF_ADMIN_ADDRESS=127.0.0.1:$port become "$(role_of "$@")" setsid "$@" \
        </dev/null >>"$program_home/log/$name.log" 2>&1 &
    printf '%s %s %s\n' "$!" "$port" "$*" >"$program_home/run/$name"
}

# Prints the pid of a process that program_start started and that still runs.
program_pid() {
    local pid port command
    { read -r pid port command <"$program_home/run/$1"; } 2>/dev/null || return 1
    # The command line is compared so that a stranger who got the number is left alone.
    [ "$({ tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null)" = "$command " ] || return 1
    printf '%s\n' "$pid"
}

program_await_ready() {
    local name pid port command deadline=$((SECONDS + 30))
    for name in "$@"; do
        read -r pid port command <"$program_home/run/$name"
        until curl -sf --max-time 2 -o /dev/null "http://127.0.0.1:$port/readyz"; do
            if ! program_pid "$name" >/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
                tail -n 5 "$program_home/log/$name.log" >&2
                fail "$name (process $pid, $command) did not become ready; see $program_home/log/$name.log"
            fi
            sleep 0.1
        done
    done
}

program_stop_all() {
    local file name pid tries
    for file in "$program_home"/run/*; do
        [ -f "$file" ] || continue
        name=${file##*/}
        if pid=$(program_pid "$name"); then kill -s TERM "$pid" 2>/dev/null || true; fi
    done
    for file in "$program_home"/run/*; do
        [ -f "$file" ] || continue
        name=${file##*/}
        tries=250
        while pid=$(program_pid "$name") && [ "$tries" -gt 0 ]; do
            sleep 0.1
            tries=$((tries - 1))
        done
        if pid=$(program_pid "$name"); then
            note "$name did not stop within 25 s; killing process $pid"
            kill -s KILL "$pid" 2>/dev/null || true
        fi
        rm -f "$file"
    done
}
