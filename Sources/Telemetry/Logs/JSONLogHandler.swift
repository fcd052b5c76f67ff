package import Foundation
package import Logging

/// Writes each log record as one line of JSON.
///
/// The line holds `time` (RFC 3339, UTC), `level`, `logger`, `message` and then the metadata, sorted, with nested
/// dictionaries flattened to dotted keys. Metadata under one of these four names is written with `metadata.` before it.
package struct JSONLogHandler: LogHandler {
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    package var logLevel: Logger.Level = .info

    private let label: String
    private let now: @Sendable () -> Date
    private let write: @Sendable (String) -> Void

    /// - Parameter write: takes one line, its line feed included; called from any thread.
    package init(
        label: String, metadataProvider: Logger.MetadataProvider? = nil,
        now: @escaping @Sendable () -> Date = { Date() },
        write: @escaping @Sendable (String) -> Void = LogOutput.standardError.write
    ) {
        self.label = label
        self.metadataProvider = metadataProvider
        self.now = now
        self.write = write
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { _, new in new } }
        if let given = event.metadata { all.merge(given) { _, new in new } }
        if let error = event.error { all["error"] = "\(error)" }

        var line = JSONLine()
        line.add("time", Self.timestamp(now()))
        line.add("level", event.level.rawValue)
        line.add("logger", label)
        line.add("message", event.message.description)
        for (key, value) in all.sorted(by: { $0.key < $1.key }) {
            line.add(Self.reserved.contains(key) ? "metadata." + key : key, value)
        }
        write(line.finished)
    }

    private static let reserved: Set<String> = ["time", "level", "logger", "message"]

    private static func timestamp(_ date: Date) -> String {
        date.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }
}
