/// A RabbitMQ version; `3.10.8-rc.1` counts as 3.10.8.
package struct BrokerVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The first number.
    package let major: Int
    /// The second number.
    package let minor: Int
    /// The third number, 0 when not given.
    package let patch: Int

    /// Makes a version.
    package init(_ major: Int, _ minor: Int, _ patch: Int = 0) {
        self.major = major
        self.minor = minor
        self.patch = patch
    }

    /// Reads `major.minor` or `major.minor.patch`, with or without a suffix after `-` or `+`; nil for anything else.
    package init?(_ text: some StringProtocol) {
        let core = text.prefix { $0 != "-" && $0 != "+" }
        let parts = core.split(separator: ".", omittingEmptySubsequences: false).map { Int($0) }
        guard (2...3).contains(parts.count), let major = parts[0], let minor = parts[1] else { return nil }
        guard let patch = parts.count == 3 ? parts[2] : 0 else { return nil }
        self.init(major, minor, patch)
    }

    package static func < (left: BrokerVersion, right: BrokerVersion) -> Bool {
        (left.major, left.minor, left.patch) < (right.major, right.minor, right.patch)
    }

    package var description: String { "\(major).\(minor).\(patch)" }
}
