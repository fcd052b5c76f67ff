import Glibc

/// What the system knows about this process, read from `/proc` at the time of asking.
///
/// Names and meanings are those of Prometheus' client libraries, so that common dashboards find them.
package enum ProcessMetrics {
    /// In the Prometheus text format; what cannot be read is left out.
    package static func exposition() -> String {
        var text = PrometheusText()
        func add(_ name: String, _ kind: MetricDescriptor.Kind, _ help: String, _ value: Double?) {
            guard let value else { return }
            text.header(name, kind: kind, help: help)
            text.sample(name, [], PrometheusText.number(value))
        }
        let status = contents("/proc/self/stat").flatMap(Stat.init)
        add(
            "process_cpu_seconds_total", .counter, "User and system time spent.", status?.processorSeconds)
        add("process_open_fds", .gauge, "Open file descriptors.", openDescriptors().map(Double.init))
        add("process_resident_memory_bytes", .gauge, "Memory in RAM.", status?.residentBytes)
        add("process_start_time_seconds", .gauge, "Start of the process since 1970.", status?.startTime)
        add("process_threads", .gauge, "Threads of the process.", status?.threads)
        return text.output
    }

    /// Fields of proc(5), `/proc/[pid]/stat`.
    private struct Stat {
        var processorSeconds: Double
        var residentBytes: Double
        var startTime: Double?
        var threads: Double

        init?(_ text: String) {
            // The command's name may hold anything; the numbers follow the last parenthesis, from field 3 on.
            guard let end = text.lastIndex(of: ")") else { return nil }
            let fields = text[text.index(after: end)...].split(whereSeparator: \.isWhitespace).map { Double($0) }
            func field(_ number: Int) -> Double? { fields.indices.contains(number - 3) ? fields[number - 3] : nil }
            let ticks = Double(sysconf(CInt(_SC_CLK_TCK)))
            guard let user = field(14), let system = field(15), let threads = field(20), let start = field(22),
                let pages = field(24)
            else { return nil }
            processorSeconds = (user + system) / ticks
            residentBytes = pages * Double(sysconf(CInt(_SC_PAGESIZE)))
            self.threads = threads
            startTime = ProcessMetrics.bootTime().map { $0 + start / ticks }
        }
    }

    private static func bootTime() -> Double? {
        contents("/proc/stat")?.split(separator: "\n").first { $0.hasPrefix("btime ") }
            .flatMap { Double($0.dropFirst("btime ".count)) }
    }

    private static func openDescriptors() -> Int? {
        guard let directory = opendir("/proc/self/fd") else { return nil }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        // Without `.`, `..` and the descriptor of the directory itself.
        return count - 3
    }

    private static func contents(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 8_192)
        while bytes.count < 1 << 20 {
            let count = read(descriptor, &chunk, chunk.count)
            guard count > 0 else { break }
            bytes += chunk.prefix(count)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
