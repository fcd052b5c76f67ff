import AMQP
import Domain
import Foundation
import Logging
import Messaging
import Persistence
import Postgres
import Synchronization
import Telemetry
import TestSupport
import Testing
import Traces
import WorkerRuntime

/// A message's trace through consumer, transaction, outbox and relay.
@Suite(.timeLimit(.minutes(2))) struct TraceTests {
    @Test func consumerTransactionAndRelayAreSpansOfOneTrace() async throws {
        let collector = SpanCollector.shared
        let trace = TraceContext.root(isSampled: true)
        try await Rig.with { rig in
            let worker = try await rig.start { envelope, context in
                #expect(TraceContext.current?.traceID == trace.traceID)
                let child = Envelope(
                    id: envelope.id + "-child", type: .consultationBooked,
                    correlationID: envelope.correlationID,
                    timestamp: context.now, body: Array("{}".utf8))
                try await context.publish(OutgoingMessage(exchange: .events, envelope: child))
                return .done
            }
            var message = Rig.message("traced")
            message.traceParent = trace.traceParent
            try await rig.publish([message])
            let delivery = try await rig.receive("unrouted")
            let child = try #require(try Envelope(delivery, now: Date()).trace)
            try await worker.stop()
            let spans = collector.spans(of: trace.traceID)
            let process = try #require(spans.first { $0.kind == .consumer })
            let transaction = try #require(spans.first { $0.name == "transaction" })
            #expect(process.parentSpanID == trace.spanID)
            #expect(transaction.parentSpanID == process.context.spanID)
            // The outbox keeps who wrote the message, and the receiver belongs under the span that published it.
            let relay = try #require(spans.first { $0.kind == .producer })
            #expect(relay.name == "relay events" && relay.parentSpanID == process.context.spanID)
            #expect(child.spanID == relay.context.spanID && child.traceID == trace.traceID)
            #expect(process.attributes["neff.settlement"] == "acknowledge")
            #expect(process.attributes["messaging.message.id"] == "traced")
        }
    }

    @Test func aFailedJobIsAFailedSpanAndItsRetryStaysInTheTrace() async throws {
        let collector = SpanCollector.shared
        let trace = TraceContext.root(isSampled: true)
        try await Rig.with { rig in
            let worker = try await rig.start { _, _ in .deadLetter(code: "no_good", detail: "on purpose")
            }
            var message = Rig.message("doomed")
            message.traceParent = trace.traceParent
            try await rig.publish([message])
            try await eventually { collector.spans(of: trace.traceID).contains { $0.kind == .consumer } }
            let spans = collector.spans(of: trace.traceID)
            #expect(spans.first { $0.kind == .consumer }?.failure == "no_good")
            #expect(spans.first { $0.name == "transaction" }?.failure == "rolled back by the handler")
            try await worker.stop()
        }
    }
}

/// Every log line about a message leads back to the webhook that it follows from.
@Suite(.timeLimit(.minutes(2))) struct CorrelationTests {
    private struct Outcomes: MessageHandler {
        func handle(_ envelope: Envelope, in context: HandlerContext) async throws -> Outcome {
            context.logger.info("from the handler")
            return switch envelope.id {
            case "ignored": .ignored(reason: "on purpose")
            case "bad": .deadLetter(code: "no_good", detail: "on purpose")
            default: envelope.attemptCount == 0 ? .retry(code: "later", detail: "on purpose") : .done
            }
        }
    }

    @Test func everyLineAboutAMessageCarriesItsCorrelation() async throws {
        let lines = Record<String>()
        let logger = Logger(label: "test") { label in JSONLogHandler(label: label, write: { lines.add($0) }) }
        try await Rig.with { rig in
            let running = try await rig.start { consumer, publisher, relay in
                Worker(
                    Rig.configuration(), handler: Outcomes(), consumer: consumer, publisher: publisher, pool: rig.pool,
                    relay: relay, logger: logger)
            }
            for id in ["ignored", "again", "bad"] {
                var message = Rig.message(id)
                message.correlationID = "webhook-of-\(id)"
                try await rig.publish([message])
            }
            try await eventually { running.worker.counts.handled == 2 && running.worker.counts.deadLettered == 1 }
            try await running.stop()
        }
        struct Line: Decodable {
            var message: String
            var id: String?
            var correlation: String?
            enum CodingKeys: String, CodingKey {
                case message
                case id = "message.id"
                case correlation = "message.correlation_id"
            }
        }
        let about = try lines.all.map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }.filter {
            $0.id != nil
        }
        for line in about { #expect(line.correlation == "webhook-of-\(line.id ?? "")", "\(line.message)") }
        #expect(
            Set(about.map(\.message)) == [
                "from the handler", "message ignored", "job failed and is retried", "message given up",
            ])
    }
}
