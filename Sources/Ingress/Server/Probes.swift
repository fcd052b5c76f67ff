/// What monitoring asks for; a probe that is nil is answered 404.
package struct Probes: Sendable {
    /// A ready-made answer.
    package struct Answer: Sendable {
        package var status: Int
        package var contentType: String
        package var body: [UInt8]

        package init(status: Int = 200, contentType: String, body: [UInt8]) {
            self.status = status
            self.contentType = contentType
            self.body = body
        }
    }

    package typealias Probe = @Sendable () async -> Answer

    /// Whether the process lives.
    package var health: Probe?
    /// Whether it can do its work, with each dependency named.
    package var readiness: Probe?
    /// Prometheus text.
    package var metrics: Probe?

    package init(health: Probe? = nil, readiness: Probe? = nil, metrics: Probe? = nil) {
        self.health = health
        self.readiness = readiness
        self.metrics = metrics
    }
}
