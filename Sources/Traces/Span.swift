import Glibc
import Synchronization

/// A piece of work within a trace, from `begin` to `end`.
///
/// Without a sink, or in a trace that is not sampled, nothing is kept: the span then passes its parent's context on, as if
/// it were not there, and costs next to nothing.
package struct Span: Sendable {
    /// What others put into their headers to belong under this span; nil if there is no trace.
    package let context: TraceContext?
    private let parent: TraceContext?
    private let recording: Recording?

    /// Which side of a call or message the span is on.
    package enum Kind: Int, Sendable {
        // The numbers are those of OTLP's SpanKind.
        case `internal` = 1
        case server = 2
        case client = 3
        case producer = 4
        case consumer = 5
    }

    /// A value of an attribute.
    package enum Attribute: Hashable, Sendable, ExpressibleByStringLiteral,
        ExpressibleByIntegerLiteral
    {
        case text(String)
        case number(Int)
        case claim(Bool)

        package init(stringLiteral value: String) { self = .text(value) }
        package init(integerLiteral value: Int) { self = .number(value) }
    }

    /// A span that has ended.
    package struct Finished: Hashable, Sendable {
        package let context: TraceContext
        /// Zero if there is none.
        package let parentSpanID: UInt64
        package let name: String
        package let kind: Kind
        /// Nanoseconds since 1970.
        package let start: UInt64
        package let end: UInt64
        package let attributes: [String: Attribute]
        /// Why it failed, in words that are safe to show; nil if it did not.
        package let failure: String?

        package init(
            context: TraceContext, parentSpanID: UInt64, name: String, kind: Kind, start: UInt64,
            end: UInt64,
            attributes: [String: Attribute] = [:], failure: String? = nil
        ) {
            self.context = context
            self.parentSpanID = parentSpanID
            self.name = name
            self.kind = kind
            self.start = start
            self.end = end
            self.attributes = attributes
            self.failure = failure
        }
    }

    private struct Recording: Sendable {
        let tracer: Tracer
        let name: String
        let kind: Kind
        let start: UInt64
        let attributes: [String: Attribute]
    }

    /// Begins a span now.
    ///
    /// - Parameter parent: the span that led here, in this process or another one; without one a trace begins.
    package static func begin(
        _ name: @autoclosure () -> String, _ kind: Kind = .internal, parent: TraceContext?,
        _ attributes: @autoclosure () -> [String: Attribute] = [:], tracer: Tracer = .process
    ) -> Span {
        guard tracer.keeps(under: parent) else {
            return Span(context: parent, parent: nil, recording: nil)
        }
        return Span(
            context: parent?.child() ?? .root(isSampled: true), parent: parent,
            recording: Recording(tracer: tracer, name: name(), kind: kind, start: now(), attributes: attributes()))
    }

    /// Ends the span now and hands it over.
    ///
    /// - Parameter failure: why it failed; nil if it did not. Safe to show, and cut to 500 characters.
    package func end(
        failure: String? = nil, _ attributes: @autoclosure () -> [String: Attribute] = [:]
    ) {
        guard let recording, let context else { return }
        recording.tracer.record(
            Finished(
                context: context, parentSpanID: parent?.spanID ?? 0, name: recording.name,
                kind: recording.kind,
                start: recording.start,
                // The clock may have been set back meanwhile.
                end: max(recording.start, Self.now()),
                attributes: recording.attributes.merging(attributes()) { _, new in new },
                failure: failure.map { String($0.prefix(500)) }))
    }

    private static func now() -> UInt64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

/// Takes spans that have ended; must neither wait nor fail.
package protocol SpanSink: Sendable {
    func record(_ span: Span.Finished)
}

/// Decides which spans are kept, and hands them to whoever wants them.
package final class Tracer: Sendable {
    /// That of this process. Nothing is kept until somebody calls `bootstrap`.
    package static let process = Tracer()

    private let sink = Mutex<(any SpanSink)?>(nil)
    private let hasSink = Atomic<Bool>(false)
    /// Of a million traces that begin here, so many are kept.
    private let perMillion = Atomic<Int>(1_000_000)

    package init() {}

    /// Keeps spans from now on.
    ///
    /// - Parameter share: of the traces that begin here, from 0 to 1. Traces that others have begun are kept if they say so.
    package func bootstrap(_ sink: any SpanSink, share: Double = 1) {
        self.sink.withLock { $0 = sink }
        perMillion.store(Int((min(max(share, 0), 1) * 1_000_000).rounded()), ordering: .relaxed)
        hasSink.store(true, ordering: .releasing)
    }

    /// Whether a span under `parent` is kept.
    func keeps(under parent: TraceContext?) -> Bool {
        guard hasSink.load(ordering: .acquiring) else { return false }
        if let parent { return parent.isSampled }
        let perMillion = perMillion.load(ordering: .relaxed)
        return perMillion == 1_000_000 || Int.random(in: 0..<1_000_000) < perMillion
    }

    func record(_ span: Span.Finished) {
        let sink = sink.withLock { $0 }
        sink?.record(span)
    }
}
