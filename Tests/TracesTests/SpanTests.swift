import Synchronization
import Testing
import Traces

@Suite struct SpanTests {
    private final class Collector: SpanSink {
        private let spans = Mutex<[Span.Finished]>([])
        func record(_ span: Span.Finished) { spans.withLock { $0.append(span) } }
        func take() -> [Span.Finished] {
            spans.withLock { all in
                defer { all = [] }
                return all
            }
        }
    }

    private let collector = Collector()
    private let tracer = Tracer()

    @Test func aSpanBelongsUnderItsParent() throws {
        tracer.bootstrap(collector)
        let outer = Span.begin("outer", .server, parent: nil, ["a": 1, "b": "x"], tracer: tracer)
        let inner = Span.begin("inner", parent: outer.context, tracer: tracer)
        inner.end(failure: String(repeating: "x", count: 1_000))
        outer.end(["b": "y"])
        let spans = collector.take()
        try #require(spans.map(\.name) == ["inner", "outer"])
        #expect(spans[0].context.traceID == spans[1].context.traceID)
        #expect(spans[0].parentSpanID == spans[1].context.spanID && spans[1].parentSpanID == 0)
        #expect(spans[0].failure?.count == 500 && spans[1].failure == nil)
        #expect(spans[1].attributes == ["a": 1, "b": "y"])
        #expect(spans.allSatisfy { $0.start <= $0.end && $0.context.isSampled })
    }

    @Test func whatIsNotSampledIsPassedOnAndNotKept() throws {
        tracer.bootstrap(collector)
        let parent = TraceContext.root(isSampled: false)
        let span = Span.begin("quiet", parent: parent, tracer: tracer)
        #expect(span.context == parent)
        span.end()
        tracer.bootstrap(collector, share: 0)
        let root = Span.begin("quiet", parent: nil, tracer: tracer)
        #expect(root.context == nil)
        root.end()
        // Others' word counts, whatever our own share is.
        Span.begin("loud", parent: .root(isSampled: true), tracer: tracer).end()
        #expect(collector.take().map(\.name) == ["loud"])
    }

    @Test func aShareOfTracesIsKept() {
        tracer.bootstrap(collector, share: 0.25)
        for _ in 0..<4_000 { Span.begin("some", parent: nil, tracer: tracer).end() }
        // Six standard deviations of the binomial distribution.
        #expect((835...1_165).contains(collector.take().count))
    }
}
