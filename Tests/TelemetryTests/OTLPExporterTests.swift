import Foundation
import Logging
import ServiceLifecycle
import Synchronization
import Telemetry
import TestSupport
import Testing
import Traces

/// The exporter against a collector on loopback that takes nothing but what the protocol allows.
@Suite(.timeLimit(.minutes(1))) struct OTLPExporterTests {
    private static func span(_ name: String = "work", failure: String? = nil) -> Span.Finished {
        Span.Finished(
            context: .root(isSampled: true), parentSpanID: 7, name: name, kind: .consumer,
            start: 1_803_902_400_000_000_001, end: 1_803_902_400_250_000_000,
            attributes: ["text": "a \"quoted\" wörd", "number": -5, "claim": .claim(true)],
            failure: failure)
    }

    private static func exporter(
        _ endpoint: String, _ change: (inout OTLPExporter.Configuration) -> Void = { _ in }
    ) -> OTLPExporter {
        var configuration = OTLPExporter.Configuration(
            endpoint: endpoint, resource: ["service.name": "neff-test"], version: "1.2.3",
            interval: .milliseconds(20))
        change(&configuration)
        return OTLPExporter(configuration, logger: .silent)
    }

    @Test func whatIsSentIsValidAndComplete() async throws {
        let collector = try ScriptedHTTPServer { _, connection in
            _ = connection.write(
                ScriptedHTTPServer.answer("200 OK", headers: ["Content-Type: application/json"], body: "{}")
            )
            return true
        }
        defer { collector.stop() }
        let exporter = Self.exporter(collector.url("")) { $0.batchSize = 2 }
        let spans = [Self.span("a"), Self.span("b", failure: "db.40001"), Self.span("c")]
        spans.forEach(exporter.record)
        await exporter.flush()
        #expect(collector.requests.count == 2)
        for request in collector.requests {
            #expect(request.method == "POST" && request.target == "/v1/traces")
            #expect(request.header("Content-Type") == "application/json")
        }
        let received = try collector.requests.flatMap { try OTLPValidator.spans(of: $0.body) }
        #expect(received.map(\.name) == ["a", "b", "c"])
        for (one, other) in zip(spans, received) {
            #expect(other.traceID == one.context.traceID.description)
            #expect(other.spanID == one.context.spanID.hex)
            #expect(other.parentSpanID == "0000000000000007")
            #expect(other.kind == 5 && other.start == one.start && other.end == one.end)
            #expect(
                other.attributes == ["text": "a \"quoted\" wörd", "number": "-5", "claim": "true"])
            #expect(other.resource["service.name"] == "neff-test")
        }
        #expect(received.map(\.statusCode) == [0, 2, 0])
    }

    @Test func theValidatorIsStrict() throws {
        func body(_ change: (inout [String: Any]) -> Void) throws -> [UInt8] {
            var span: [String: Any] = [
                "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "name": "n",
                "kind": 1,
                "startTimeUnixNano": "1", "endTimeUnixNano": "2",
            ]
            change(&span)
            return Array(
                try JSONSerialization.data(withJSONObject: [
                    "resourceSpans": [["resource": [:], "scopeSpans": [["spans": [span]]]]]
                ]))
        }
        #expect(try OTLPValidator.spans(of: body { _ in }).count == 1)
        let faults: [(inout [String: Any]) -> Void] = [
            { $0["traceId"] = "CvdlGRbNQ92ESOshHIAxnA==" },
            { $0["traceId"] = String(repeating: "0", count: 32) },
            { $0["spanId"] = nil }, { $0["spanId"] = "b7ad6b71692033" }, { $0["name"] = nil },
            { $0["name"] = "" },
            { $0["startTimeUnixNano"] = 1 }, { $0["endTimeUnixNano"] = "0" },
            { $0["kind"] = "SPAN_KIND_SERVER" },
            { $0["kind"] = 9 }, { $0["trace_id"] = "x" }, { $0["attributes"] = [["key": "k"]] },
            { $0["attributes"] = [["key": "k", "value": ["intValue": 5]]] },
            { $0["attributes"] = [["key": "k", "value": ["stringValue": "a", "boolValue": true]]] },
            {
                $0["attributes"] = [
                    ["key": "k", "value": ["boolValue": true]], ["key": "k", "value": ["boolValue": true]],
                ]
            },
            { $0["status"] = ["code": "STATUS_CODE_ERROR"] }, { $0["parentSpanId"] = "zz" },
        ]
        for fault in faults {
            let bytes = try body(fault)
            #expect(throws: OTLPValidator.Violation.self, "\(String(decoding: bytes, as: UTF8.self))") {
                try OTLPValidator.spans(of: bytes)
            }
        }
    }

    @Test(arguments: [429, 502, 503, 504]) func aBusyCollectorIsAskedAgain(status: Int) async throws {
        let collector = try ScriptedHTTPServer { request, connection in
            let isFirst = request.body.isEmpty == false && Self.isFirst(connection)
            _ = connection.write(
                isFirst
                    ? ScriptedHTTPServer.answer("\(status) Later", headers: ["Retry-After: 0"])
                    : ScriptedHTTPServer.answer("200 OK", body: "{}"))
            return !isFirst
        }
        defer { collector.stop() }
        let exporter = Self.exporter(collector.url(""))
        exporter.record(Self.span())
        await exporter.flush()
        #expect(collector.requests.count == 2)
        #expect(collector.requests.first?.body == collector.requests.last?.body)
    }

    private static func isFirst(_ connection: ScriptedConnection) -> Bool { connection.number == 0 }

    @Test func aRefusalIsFinal() async throws {
        let collector = try ScriptedHTTPServer { _, connection in
            _ = connection.write(ScriptedHTTPServer.answer("400 Bad Request"))
            return true
        }
        defer { collector.stop() }
        let exporter = Self.exporter(collector.url("/"))
        exporter.record(Self.span())
        await exporter.flush()
        await exporter.flush()
        #expect(collector.requests.map(\.target) == ["/v1/traces"])
    }

    @Test func nobodyWaitsForACollectorThatDoesNotAnswer() async throws {
        let collector = try ScriptedHTTPServer { _, connection in
            // Never answers; ends when the client gives up.
            _ = connection.readLine()
            return false
        }
        defer { collector.stop() }
        let exporter = Self.exporter(collector.url("")) {
            $0.capacity = 10
            $0.timeout = .seconds(30)
            $0.drainTimeout = .milliseconds(50)
        }
        let group = ServiceGroup(services: [exporter], logger: .silent)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            exporter.record(Self.span())
            await collector.nextRequest()
            // The batch is under way and stays there; a thousand more neither wait nor grow the queue.
            for _ in 0..<1_000 { exporter.record(Self.span()) }
            #expect(exporter.waitingCount == 10)
            // And the process can stop.
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
    }

    @Test func whatIsLeftIsSentWhenTheProcessStops() async throws {
        let collector = try ScriptedHTTPServer { _, connection in
            _ = connection.write(
                ScriptedHTTPServer.answer("200 OK", body: #"{"partialSuccess":{"rejectedSpans":"1"}}"#))
            return true
        }
        defer { collector.stop() }
        let exporter = Self.exporter(collector.url("")) { $0.interval = .seconds(3_600) }
        let group = ServiceGroup(services: [exporter], logger: .silent)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            exporter.record(Self.span("first"))
            await collector.nextRequest()
            exporter.record(Self.span("last"))
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
        let names = try collector.requests.flatMap { try OTLPValidator.spans(of: $0.body).map(\.name) }
        // One that is under way when the process stops is cut off and sent again: a collector may get a span twice.
        #expect(Set(names) == ["first", "last"] && names.count <= 3)
        #expect(exporter.waitingCount == 0)
    }
}

extension Logger {
    fileprivate static var silent: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }
}
