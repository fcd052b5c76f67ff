import CoreMetrics
package import Logging
import Traces

/// Sets up logging and metrics for a process.
package enum Telemetry {
    /// Makes JSON lines and the registry the backends of swift-log and swift-metrics; call once, before anything else.
    ///
    /// - Returns: the registry, whose `exposition` the admin endpoint shows.
    package static func bootstrap(logLevel: Logger.Level = .info) -> MetricsRegistry {
        LoggingSystem.bootstrap(
            { label, provider in
                var handler = JSONLogHandler(label: label, metadataProvider: provider)
                handler.logLevel = logLevel
                return handler
            },
            // What is logged within a trace says so, whoever logs it.
            metadataProvider: Logger.MetadataProvider {
                guard let trace = TraceContext.current else { return [:] }
                return ["trace.id": "\(trace.traceID)", "span.id": "\(trace.spanID.hex)"]
            })
        let registry = MetricsRegistry()
        MetricsSystem.bootstrap(registry)
        return registry
    }
}

extension MetricsRegistry {
    /// What `/metrics` answers: our own metrics and those of the process.
    package var page: String { exposition() + ProcessMetrics.exposition() }
}
