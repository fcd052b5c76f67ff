import Logging

/// Whether one thing that a process depends on is there.
package struct Readiness: Codable, Hashable, Sendable {
    /// Such as `postgres` or `amqp.consumer`.
    package var name: String
    package var isReady: Bool
    /// What state it is in, in words; safe to show.
    package var detail: String

    package init(name: String, isReady: Bool, detail: String) {
        self.name = name
        self.isReady = isReady
        self.detail = detail
    }

    /// The answer of `/readyz`.
    ///
    /// - Returns: 200 if everything is ready, otherwise 503; and a JSON object with `ready` and `dependencies`.
    package static func answer(_ all: [Readiness]) -> (status: Int, body: String) {
        var line = "{\"ready\":\(all.allSatisfy(\.isReady)),\"dependencies\":["
        for (index, one) in all.enumerated() {
            var entry = JSONLine()
            entry.add("name", one.name)
            entry.add("ready", .stringConvertible(one.isReady))
            entry.add("detail", one.detail)
            line += (index > 0 ? "," : "") + entry.finished.dropLast()
        }
        return (all.allSatisfy(\.isReady) ? 200 : 503, line + "]}\n")
    }
}
