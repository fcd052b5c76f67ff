import Domain
import Foundation
import Messaging
import Synchronization
import TestSupport
import Testing
import Traces

/// What the ingress does with W3C trace context.
@Suite(.timeLimit(.minutes(1))) struct TraceTests {
    private static let sampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    private static let body = InviteeWebhook.created("A")

    private func sent(_ headers: [(String, String)], _ ingress: Harness) async throws -> TraceContext {
        _ = try await ingress.webhook(Self.body, headers: headers)
        return try #require(ingress.broker.messages.last?.envelope.trace)
    }

    @Test func aTraceIsTakenOverIfItIsValidAndBegunIfNot() async throws {
        try await withIngress { ingress in
            let known = try await sent([("traceparent", Self.sampled)], ingress)
            #expect(known.traceID.description == "0af7651916cd43dd8448eb211c80319c" && known.isSampled)
            var others: Set<TraceID> = []
            for header in [
                nil, "", Self.sampled.uppercased(), "00-\(String(repeating: "0", count: 32))-1-01",
            ] {
                let begun = try await sent(header.map { [("traceparent", $0)] } ?? [], ingress)
                #expect(begun.traceID != known.traceID)
                others.insert(begun.traceID)
            }
            #expect(others.count == 4)
        }
    }

    @Test func requestAndPublishAreSpansOfOneTrace() async throws {
        let collector = SpanCollector.shared
        try await withIngress { ingress in
            let header = "00-\(TraceContext.root(isSampled: true).traceID)-b7ad6b7169203331-01"
            let published = try await sent([("traceparent", header)], ingress)
            let spans = collector.spans(of: published.traceID)
            try #require(spans.map(\.name).sorted() == ["POST /webhooks/calendly", "publish inbound"])
            let request = try #require(spans.first { $0.kind == .server })
            let publish = try #require(spans.first { $0.kind == .producer })
            #expect(request.parentSpanID == 0xb7ad_6b71_6920_3331)
            #expect(publish.parentSpanID == request.context.spanID)
            // Whoever gets the message belongs under the publish.
            #expect(published.spanID == publish.context.spanID)
            #expect(request.attributes["http.response.status_code"] == 202)
            #expect(publish.attributes["messaging.destination.name"] == "inbound")
            #expect(
                request.failure == nil && request.start <= publish.start && publish.end <= request.end)
        }
    }

    @Test func probesAndUnknownPathsAreNoSpans() async throws {
        let collector = SpanCollector.shared
        try await withIngress { ingress in
            let trace = TraceContext.root(isSampled: true)
            for path in ["/healthz", "/nothing"] {
                _ = try await ingress.send("GET", path, headers: [("traceparent", trace.traceParent)])
            }
            #expect(collector.spans(of: trace.traceID).isEmpty)
            _ = try await ingress.send(
                "GET", "/v1/jobs", headers: [("traceparent", trace.traceParent)], key: nil)
            let refused = try #require(collector.spans(of: trace.traceID).first)
            #expect(
                refused.name == "GET /v1/jobs" && refused.attributes["http.response.status_code"] == 401)
            #expect(refused.failure == nil, "a refusal is the caller's failure, not ours")
        }
    }
}
