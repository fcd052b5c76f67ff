import Domain
import Foundation
import Ingress
import Synchronization
import TestSupport
import Testing
import Transport

/// Whatever comes, nothing here breaks: no answer of the 5xx kind, and the next request is served.
@Suite struct GarbageTests {
    private static let methods = [
        "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "FOO", "get", "",
    ]
    private static let paths = [
        "/v1/jobs", "/v1/jobs/\(Samples.job.id)", "/v1/jobs/\(Samples.job.id)/cancel", "/v1/jobs//cancel",
        "/webhooks/calendly", "/v1/consultations?limit=\u{1}", "/v1/jobs?cursor=%%%", "/%2e%2e/%2e%2e/etc/passwd", "*",
        "/v1/operations/opn_%00", "http://", "/?/?/?", "/v1/jobs?state=&&&=&=", "//", "/problems/{type}",
    ]
    private static let fields = [
        "Authorization: Bearer \(Harness.apiKeyText)", "Content-Type: application/json", "Content-Length: 2",
        "Content-Length: -1", "Content-Length: 99999999999999999999", "Transfer-Encoding: chunked",
        "Transfer-Encoding: gzip", "Idempotency-Key: k", "Prefer: wait=0", "If-Match: \"\"", "If-None-Match: ,,,",
        "Calendly-Webhook-Signature: t=1,v1=2", "Expect: 100-continue", "X-Request-Id: \u{7}", "Connection: close",
        "Connection: Upgrade", "Upgrade: websocket", "Host:", "traceparent: 00", ": novalue", "NoColon", "\u{0}: x",
    ]
    private static let bodies = [
        "", "{}", "[]", "{\"starts_at\":1}", "\u{0}\u{1}", "2\r\n{}\r\n0\r\n\r\n", "{\"a\":", "\"\\u\"",
    ]

    @Test(.timeLimit(.minutes(3)), arguments: 1...4)
    func nothingThatIsSentBreaksTheServer(seed: UInt64) async throws {
        try await withIngress {
            $0.timeouts.header = .seconds(3)
            $0.timeouts.body = .seconds(3)
            $0.timeouts.idle = .seconds(3)
        } _: { ingress in
            ingress.schedule.state.withLock { $0.jobs = [Samples.job] }
            var generator = SeededGenerator(seed: seed)
            for _ in 0..<150 {
                var text =
                    "\(Self.methods.randomElement(using: &generator)!) \(Self.paths.randomElement(using: &generator)!)"
                text += [" HTTP/1.1", " HTTP/1.0", " HTTP/9.9", ""].randomElement(using: &generator)! + "\r\n"
                for _ in 0..<Int.random(in: 0...6, using: &generator) {
                    text += Self.fields.randomElement(using: &generator)! + "\r\n"
                }
                text += "\r\n" + Self.bodies.randomElement(using: &generator)!
                var bytes = Array(text.utf8)
                for _ in 0..<Int.random(in: 0...2, using: &generator) where !bytes.isEmpty {
                    bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(
                        in: 0...255, using: &generator)
                }
                let answer = try await RawConnection.with(port: ingress.port) { connection in
                    try? await connection.send(bytes)
                    connection.finish()
                    return await connection.receiveToEnd()
                }
                #expect(!answer.contains("HTTP/1.1 5"), "\(text)\n\(answer)")
            }
            #expect(try await ingress.send("GET", "/v1/jobs/\(Samples.job.id)").status == 200)
        }
    }
}
