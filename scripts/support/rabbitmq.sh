# shellcheck shell=bash
# The private RabbitMQ: own node name, own epmd, loopback only, plain and TLS listeners, data in .local/rabbitmq.

rabbitmq_dir() { printf '%s/rabbitmq\n' "$(data_root)"; }
rabbitmq_node() { printf 'neff-%s@localhost\n' "$(state_hash)"; }
rabbitmq_sbin() {
    local found
    found=$(find "$rootfs"/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin -maxdepth 0 2>/dev/null | sort -V | tail -n 1)
    printf '%s\n' "${found#"$rootfs"}"
}
rabbitmq_running() { running rabbitmq "$(rabbitmq_node)"; }
epmd_running() { running epmd "$(port epmd)"; }

# Every variable that makes the node and its command-line tools private, one NAME=value a line.
rabbitmq_environment() {
    local dir
    dir=$(rabbitmq_dir)
    cat <<ENV
HOME=$dir
PATH=/usr/sbin:/usr/bin:/sbin:/bin
LANG=C.UTF-8
ERL_EPMD_PORT=$(port epmd)
ERL_EPMD_ADDRESS=127.0.0.1
RABBITMQ_NODENAME=$(rabbitmq_node)
RABBITMQ_DIST_PORT=$(port dist)
RABBITMQ_CTL_DIST_PORT_MIN=$(port cli)
RABBITMQ_CTL_DIST_PORT_MAX=$(($(port cli) + 9))
RABBITMQ_CONF_ENV_FILE=/dev/null
RABBITMQ_CONFIG_FILE=$dir/rabbitmq.conf
RABBITMQ_ENABLED_PLUGINS_FILE=$dir/enabled_plugins
RABBITMQ_MNESIA_BASE=$dir/mnesia
RABBITMQ_LOG_BASE=$dir/log
RABBITMQ_PID_FILE=$dir/pid
RABBITMQ_GENERATED_CONFIG_DIR=$dir/generated
ENV
}

rabbitmq_start() {
    local dir sbin environment
    place rabbitmq
    dir=$(rabbitmq_dir)
    sbin=$(rabbitmq_sbin)
    [ -n "$sbin" ] || fail "RabbitMQ is missing; run scripts/setup"
    # The default user is made on the very first boot only, so a boot that did not finish starts over.
    [ -f "$dir/ready" ] || rm -rf "${dir:?}/mnesia"
    claim amqp amqps management prometheus dist
    install_tls "$dir"
    rabbitmq_configuration | private_file "$dir/rabbitmq.conf"
    printf '[rabbitmq_management,rabbitmq_prometheus].\n' | private_file "$dir/enabled_plugins"
    if ! epmd_running >/dev/null; then
        claim epmd
        # In the foreground, so that its process id is known; left to itself the node would start a daemon for ever.
        launch epmd "$(port epmd)" "$state/log/epmd.log" epmd -port "$(port epmd)" -address 127.0.0.1
        await epmd "$(port epmd)" "$state/log/epmd.log" 10 listening "$(port epmd)"
    fi
    mapfile -t environment < <(rabbitmq_environment)
    # RUNNING_UNDER_SYSTEMD makes the start script replace itself with the Erlang VM, so that the recorded process is
    # the node and not a shell; -neff is a flag Erlang ignores and by which the process is recognised. No busy waiting
    # (+sbwt): the machine is shared with whatever is being built or tested. The timeout: see docs/operations.md, "A cluster".
    launch rabbitmq "$(rabbitmq_node)" "$state/log/rabbitmq.log" env -i "${environment[@]}" RUNNING_UNDER_SYSTEMD=1 \
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} -rabbit dead_letter_worker_publisher_confirm_timeout 10000 +sbwt none +sbwtdcpu none +sbwtdio none" \
        "$sbin/rabbitmq-server" -neff "$(rabbitmq_node)"
    rabbitmq_command_line_tool "$sbin" "${environment[@]}"
}

rabbitmq_configuration() {
    local dir
    dir=$(rabbitmq_dir)
    cat <<CONF
listeners.tcp.1 = 127.0.0.1:$(port amqp)
listeners.ssl.1 = 127.0.0.1:$(port amqps)
listeners.ssl.2 = 127.0.0.2:$(port amqps)
ssl_options.cacertfile = $dir/ca.pem
ssl_options.certfile = $dir/server.pem
ssl_options.keyfile = $dir/server-key.pem
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
ssl_options.versions.1 = tlsv1.3
ssl_options.versions.2 = tlsv1.2
management.tcp.ip = 127.0.0.1
management.tcp.port = $(port management)
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = $(port prometheus)
collect_statistics_interval = 1000
default_vhost = neff
default_user = neff
default_pass = $(secret rabbitmq)
CONF
}

# .local/bin/rabbitmqctl and friends, already pointed at this node.
rabbitmq_command_line_tool() {
    local sbin=$1 tool
    shift
    mkdir -p "$state/bin"
    for tool in rabbitmqctl rabbitmq-diagnostics rabbitmq-queues; do
        {
            printf '#!/bin/bash\n. %s/scripts/support/common.sh\n' "$root"
            [ -z "$rootfs" ] || printf 'choose_release %s\n' "${state##*/}"
            printf 'cd /\nas_server env -i'
            printf " '%s'" "$@" "$sbin/$tool"
            # shellcheck disable=SC2016
            printf ' "$@"\n'
        } >"$state/bin/$tool.new"
        chmod 0755 "$state/bin/$tool.new"
        mv "$state/bin/$tool.new" "$state/bin/$tool"
    done
}

rabbitmq_answers() {
    local check
    # The password goes through stdin: a command line is public.
    for check in virtual-hosts protocol-listener/amqp/ssl; do
        printf 'user = "neff:%s"\n' "$(secret rabbitmq)" |
            curl -fsS -m 5 -K - "http://127.0.0.1:$(port management)/api/health/checks/$check"
    done
    listening "$(port amqp)"
}

rabbitmq_await() {
    await rabbitmq "$(rabbitmq_node)" "$state/log/rabbitmq.log" 120 rabbitmq_answers
    touch "$(rabbitmq_dir)/ready"
}

rabbitmq_stop() { halt rabbitmq "$(rabbitmq_node)" TERM 40; }
epmd_stop() { halt epmd "$(port epmd)" TERM 5; }
