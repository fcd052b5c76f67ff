# shellcheck shell=bash
# Ports are picked once, below the range the kernel hands out to clients, and remembered in .local/ports.

port_names="amqp amqps management prometheus dist epmd cli postgres smtp smtps"

port() { sed -n "s/^$1=//p" "$state/ports" 2>/dev/null || true; }

# Picks what .local/ports lacks. "cli" stands for itself and the nine ports after it (RabbitMQ's command-line tools).
ensure_ports() {
    touch "$state/ports"
    # shellcheck disable=SC2086
    "$python" - "$state/ports" $port_names <<'PYTHON'
import random, socket, sys

path, names = sys.argv[1], sys.argv[2:]
with open(path) as f:
    known = dict(line.strip().split("=", 1) for line in f if "=" in line)
with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
    ceiling = int(f.read().split()[0])
low, high = (15000, ceiling - 20) if ceiling > 16000 else (ceiling, 60000)


def free(port):
    with socket.socket() as s:
        try:
            s.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


taken = set()
for name, value in known.items():
    taken.update(range(int(value), int(value) + (10 if name == "cli" else 1)))
for name in names:
    width = 10 if name == "cli" else 1
    while name not in known:
        first = random.randrange(low, high)
        block = range(first, first + width)
        if not taken.intersection(block) and all(map(free, block)):
            taken.update(block)
            known[name] = str(first)
with open(path, "w") as f:
    f.writelines(f"{name}={known[name]}\n" for name in names)
PYTHON
}

# claim NAME...: before a start, forget each remembered port that a stranger listens on by now, and pick another.
claim() {
    local name stolen=0
    for name in "$@"; do
        if (exec 3<>"/dev/tcp/127.0.0.1/$(port "$name")") 2>/dev/null; then
            note "port $(port "$name") ($name) has been taken by another process; choosing another"
            sed -i "/^$name=/d" "$state/ports"
            stolen=1
        fi
    done
    [ "$stolen" -eq 0 ] || ensure_ports
}

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
