/// Writes the Prometheus text format, version 0.0.4.
///
/// The format is described at https://prometheus.io/docs/instrumenting/exposition_formats/.
struct PrometheusText {
    private(set) var output = ""

    static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    mutating func add(_ family: MetricsRegistry.Family) {
        let descriptor = family.descriptor
        let name = descriptor.exposedName
        header(name, kind: descriptor.kind, help: descriptor.help)
        for (key, instrument) in family.series.sorted(by: { $0.key < $1.key }) {
            switch instrument {
            case .counter(let counter):
                sample(name, key.labels, String(counter.value))
            case .gauge(let gauge):
                sample(name, key.labels, Self.number(gauge.value))
            case .histogram(let histogram):
                add(name, key.labels, histogram)
            }
        }
    }

    /// The lines that precede a family's samples.
    mutating func header(_ name: String, kind: MetricDescriptor.Kind, help: String) {
        output += "# HELP \(name) \(Self.escapedHelp(help))\n# TYPE \(name) \(kind.rawValue)\n"
    }

    /// - Parameter labels: name, value, name, value ...
    mutating func sample(_ name: String, _ labels: [String], _ value: String) {
        output += name
        if !labels.isEmpty {
            output += "{"
            for index in stride(from: 0, to: labels.count, by: 2) {
                if index > 0 { output += "," }
                output += "\(Self.labelName(labels[index]))=\"\(Self.escaped(labels[index + 1]))\""
            }
            output += "}"
        }
        output += " \(value)\n"
    }

    private mutating func add(_ name: String, _ labels: [String], _ histogram: HistogramInstrument) {
        let snapshot = histogram.snapshot
        var count: UInt64 = 0
        for (bound, inBucket) in zip(histogram.bounds, snapshot.counts) {
            count += inBucket
            sample(name + "_bucket", labels + ["le", Self.number(bound)], String(count))
        }
        count += snapshot.counts.last ?? 0
        sample(name + "_bucket", labels + ["le", "+Inf"], String(count))
        sample(name + "_sum", labels, Self.number(snapshot.sum))
        sample(name + "_count", labels, String(count))
    }

    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if value == value.rounded(), abs(value) < 1e15 { return String(Int64(value)) }
        return String(value)
    }

    static func labelName(_ name: String) -> String {
        let plain = name.unicodeScalars.map { scalar -> Character in
            let isLetter = ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || scalar == "_"
            return isLetter || ("0"..."9").contains(scalar) ? Character(scalar) : "_"
        }
        let text = String(plain)
        return text.first.map { $0.isNumber } ?? true ? "_" + text : text
    }

    /// A label's value: backslash, quote and line feed are escaped.
    static func escaped(_ value: String) -> String {
        var text = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": text += "\\\\"
            case "\"": text += "\\\""
            case "\n": text += "\\n"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }

    /// A help text: backslash and line feed are escaped.
    private static func escapedHelp(_ value: String) -> String {
        var text = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}
