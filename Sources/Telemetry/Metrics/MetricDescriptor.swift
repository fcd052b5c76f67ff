/// What a metric means, how it is measured and how it is shown.
package struct MetricDescriptor: Hashable, Sendable {
    package enum Kind: String, Hashable, Sendable {
        /// Only grows; the name ends in `_total`.
        case counter
        /// Goes up and down.
        case gauge
        /// Observations in buckets.
        case histogram
    }

    /// A base unit; its name becomes the suffix. Nil is a plain number.
    package enum Unit: String, Hashable, Sendable {
        case seconds
        case bytes
    }

    /// Dotted, as in the code: `worker.job.duration`.
    package let name: String
    package let kind: Kind
    package let unit: Unit?
    /// One sentence.
    package let help: String
    /// Upper bounds of a histogram's buckets, ascending, without infinity.
    package let buckets: [Double]

    /// - Parameter buckets: empty takes `latencyBuckets` for a histogram.
    package init(_ name: String, _ kind: Kind, _ unit: Unit?, buckets: [Double] = [], _ help: String) {
        self.name = name
        self.kind = kind
        self.unit = unit
        self.help = help
        self.buckets = buckets.isEmpty && kind == .histogram ? Self.latencyBuckets : buckets
    }

    /// A plain number.
    package init(_ name: String, _ kind: Kind, buckets: [Double] = [], _ help: String) {
        self.init(name, kind, nil, buckets: buckets, help)
    }

    /// For work that takes from half a millisecond to half a minute, in seconds.
    package static let latencyBuckets: [Double] = [
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
    ]

    /// For how long a message was under way, retries included, in seconds: 10 ms to a day.
    package static let journeyBuckets: [Double] = [
        0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 21_600, 86_400,
    ]

    /// For counts of things taken together.
    package static let sizeBuckets: [Double] = [1, 2, 4, 8, 16, 32, 64, 128, 256]

    /// The family's name in the exposition: dots and dashes become underscores, then unit, then `_total` for counters.
    package var exposedName: String {
        var name = String(
            name.unicodeScalars.map { scalar in
                let isPlain =
                    ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || ("0"..."9").contains(scalar)
                return isPlain || scalar == "_" ? Character(scalar) : "_"
            })
        if let first = name.first, first.isNumber { name = "_" + name }
        if let unit, !name.hasSuffix("_" + unit.rawValue) { name += "_" + unit.rawValue }
        if kind == .counter, !name.hasSuffix("_total") { name += "_total" }
        return name
    }
}
