import Synchronization
package import Traces

/// Keeps the spans of traces that say they are sampled. One for the process, since there is one tracer.
package final class SpanCollector: SpanSink {
    /// The collector; spans are kept from the first use on.
    package static let shared: SpanCollector = {
        let collector = SpanCollector()
        Tracer.process.bootstrap(collector, share: 0)
        return collector
    }()

    private let all = Mutex<[Span.Finished]>([])

    package func record(_ span: Span.Finished) { all.withLock { $0.append(span) } }

    /// What has ended so far of one trace, in the order of the ends.
    package func spans(of trace: TraceID) -> [Span.Finished] {
        all.withLock { $0.filter { $0.context.traceID == trace } }
    }
}
