# shellcheck shell=bash
# The private PostgreSQL: loopback only, TLS on, scram passwords, data in .local/postgres.

postgres_dir() { printf '%s/postgres\n' "$(data_root)"; }
postgres_bin() {
    local found
    found=$(find "$rootfs"/usr/lib/postgresql/*/bin -maxdepth 0 2>/dev/null | sort -V | tail -n 1)
    printf '%s\n' "${found#"$rootfs"}"
}
postgres_running() { running postgres "$(postgres_dir)/data"; }

postgres_start() {
    local dir bin
    place postgres
    dir=$(postgres_dir)
    bin=$(postgres_bin)
    [ -n "$bin" ] || fail "PostgreSQL's server programs are missing; run scripts/setup"
    claim postgres
    install_tls "$dir"
    if [ ! -f "$dir/ready" ]; then
        # Nothing is worth keeping from a first start that did not finish.
        rm -rf "${dir:?}/data"
        secret postgres | private_file "$dir/password"
        (cd / && as_server "$bin/initdb" -D "$dir/data" -U neff --pwfile="$dir/password" --auth=scram-sha-256 \
            -E UTF8 --locale=C.UTF-8) >>"$state/log/postgres.log" 2>&1 ||
            fail "initdb failed; see .local/log/postgres.log"
        rm -f "$dir/password"
    fi
    private_file "$dir/data/postgresql.conf" <<CONF
port = $(port postgres)
listen_addresses = '127.0.0.1,127.0.0.2'
unix_socket_directories = '$dir'
max_connections = 300
timezone = 'UTC'
log_timezone = 'UTC'
password_encryption = 'scram-sha-256'
ssl = on
ssl_ca_file = '$dir/ca.pem'
ssl_cert_file = '$dir/server.pem'
ssl_key_file = '$dir/server-key.pem'
ssl_min_protocol_version = 'TLSv1.2'
CONF
    private_file "$dir/data/pg_hba.conf" <<CONF
local all all             scram-sha-256
host  all all 127.0.0.0/8 scram-sha-256
CONF
    postgres_forget_stranger "$dir/data/postmaster.pid" "$dir/.s.PGSQL.$(port postgres).lock"
    launch postgres "$dir/data" "$state/log/postgres.log" "$bin/postgres" -D "$dir/data"
}

# PostgreSQL will not start while one of its lock files names an existing process of the same user, even one that
# merely reuses the number or is dead and not collected. A live postmaster is left to PostgreSQL's own check, which also
# looks at shared memory.
postgres_forget_stranger() {
    local file pid
    for file in "$@"; do
        { read -r pid <"$file"; } 2>/dev/null || continue
        start_time "$pid" >/dev/null || await_reaped "$pid"
        if [ -r "/proc/$pid/cmdline" ] && ! tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q postgres; then
            rm -f "$file"
        fi
    done
}

postgres_query() {
    PGPASSWORD=$(secret postgres) PGCONNECT_TIMEOUT=3 \
        psql -X -q -h 127.0.0.1 -p "$(port postgres)" -U neff -d "$1" -At -c "$2"
}

postgres_await() {
    await postgres "$(postgres_dir)/data" "$state/log/postgres.log" 60 postgres_query postgres "select 1"
    if [ -z "$(postgres_query postgres "select 1 from pg_database where datname = 'neff'")" ]; then
        postgres_query postgres "create database neff" || fail "could not create the database neff"
    fi
    touch "$(postgres_dir)/ready"
}

# SIGINT is PostgreSQL's fast shutdown: sessions are cut, data is flushed.
postgres_stop() { halt postgres "$(postgres_dir)/data" INT 30; }
