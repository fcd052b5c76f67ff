import AMQP
import Calendly
import Foundation
import Ingress
import Messaging
import MetricsTestKit
import Postgres
import Testing
import Transport

@Suite struct CalendlyWebhookTests {
    @Test(.timeLimit(.minutes(1)))
    func publishesEveryFixtureByteForByte() async throws {
        try await withIngress { ingress in
            for name in Samples.webhookNames {
                let body = try Samples.fixture("calendly/\(name).json")
                let response = try await ingress.webhook(body)
                #expect(response.status == 202, "\(name)")
                let message = try #require(ingress.broker.messages.last)
                let event = try WebhookSummary.parse(body).event
                #expect(message.envelope.body == body, "\(name)")
                #expect(message.exchange == .inbound)
                #expect(message.routingKey == "calendly.\(event)")
                #expect(message.envelope.type == .calendly(event))
                #expect(message.envelope.signature == .valid)
                #expect(message.envelope.receivedAt == ingress.clock.now)
            }
            #expect(Set(ingress.broker.messages.map(\.envelope.id)).count == Samples.webhookNames.count)
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func repeatedDeliveryHasTheSameMessageID() async throws {
        try await withIngress { ingress in
            let body = try Samples.fixture("calendly/01-invitee-created-residential.json")
            _ = try await ingress.webhook(body)
            ingress.clock.now += 60
            _ = try await ingress.webhook(body)
            let ids = ingress.broker.messages.map(\.envelope.id)
            #expect(ids.count == 2)
            #expect(ids[0] == ids[1])
        }
    }

    struct Vector: Decodable, Sendable {
        var name: String
        var now: Double
        var header: String?
        var body: String?
        var bodyFile: String?
        var expect: String
        var signingKey: String

        private enum CodingKeys: String, CodingKey {
            case name, now, header, body, expect
            case bodyFile = "body_file"
            case signingKey = "signing_key"
        }
    }

    @Test(.timeLimit(.minutes(2)))
    func judgesEveryVectorAtItsOwnClock() async throws {
        let bytes = try Samples.fixture("calendly-signatures.json")
        let vectors = try JSONDecoder().decode([Vector].self, from: Data(bytes))
        #expect(vectors.count == 26)
        let key = try #require(vectors.first).signingKey
        try await withIngress {
            $0.calendlySigningKeys = [key]
        } _: { ingress in
            for vector in vectors {
                ingress.clock.now = Date(timeIntervalSince1970: vector.now)
                var body = Array((vector.body ?? "").utf8)
                if let file = vector.bodyFile { body = try Samples.fixture("calendly/\(file)") }
                var headers: HTTPHeaders = ["Content-Type": "application/json"]
                if let header = vector.header { headers.append(name: "Calendly-Webhook-Signature", value: header) }
                let before = ingress.broker.messages.count
                let response = try await ingress.client.send(
                    HTTPRequest(
                        method: "POST", url: ingress.origin + "/webhooks/calendly", headers: headers, body: body))
                let mark = ingress.broker.messages.dropFirst(before).first?.envelope.signature
                switch (vector.expect, vector.name) {
                case (_, "valid-empty-body"):
                    #expect(response.status == 400, "the signature is right and an empty body is not JSON")
                case ("accept", _):
                    #expect(response.status == 202, "\(vector.name): \(response.text)")
                    #expect(mark == .valid, "\(vector.name)")
                case (_, "stale-by-one-second"), (_, "stale-one-hour"), (_, "future-beyond-skew"):
                    #expect(response.status == 202, "\(vector.name): \(response.text)")
                    #expect(mark == .stale, "\(vector.name)")
                default:
                    #expect(response.status == 401, "\(vector.name)")
                    #expect(response.problemType == "invalid-signature", "\(vector.name)")
                    #expect(mark == nil)
                }
            }
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func judgesFreshSignatures() async throws {
        try await withIngress { ingress in
            let body = Array(#"{"event":"invitee.created","payload":{"uri":"https://api.example/i/1"}}"#.utf8)
            let now = ingress.clock.now
            let good = Signing.header(body, at: now)
            let cases: [(header: String, status: Int)] = [
                (good, 202),
                (Signing.header(body, key: "the-key-before", at: now), 202),
                (Signing.header(body, at: now.addingTimeInterval(-180)), 202),
                (Signing.header(body, at: now.addingTimeInterval(60)), 202),
                (good + ",v1=" + String(repeating: "0", count: 64), 202),
                (good + ",v2=abc", 202),
                (Signing.header(body, key: "another-key", at: now), 401),
                (Signing.header(body + [32], at: now), 401),
                (good.replacing("v1=", with: "v0="), 401),
                (String(good.dropLast()), 401),
                (good.replacing("t=", with: "t=1"), 401),
                ("garbage", 401), ("t=,v1=", 401), (",,,,", 401),
                (String(repeating: "t=1,", count: 800), 401),
            ]
            for (header, status) in cases {
                let response = try await ingress.webhook(body, signature: header)
                #expect(response.status == status, "\(header.prefix(100))")
                if status == 401 { #expect(response.headers["WWW-Authenticate"] != nil) }
            }
            #expect(ingress.broker.messages.count == 6)
        }
    }

    @Test(.timeLimit(.minutes(1)), arguments: [-181.0, -86_400, 61, 7_200])
    func acceptsAStaleDeliveryUnderAnIDOfItsOwn(offset: Double) async throws {
        try await withIngress { ingress in
            let body = try Samples.fixture("calendly/01-invitee-created-residential.json")
            let header = Signing.header(body, at: ingress.clock.now.addingTimeInterval(offset))
            #expect(try await ingress.webhook(body, signature: header).status == 202)
            #expect(try await ingress.webhook(body).status == 202)
            let envelopes = ingress.broker.messages.map(\.envelope)
            #expect(envelopes.map(\.signature) == [.stale, .valid])
            #expect(envelopes[0].id == envelopes[1].id + "-stale")
            #expect(ingress.metrics.counterTotal(label: "ingress.webhooks", dimensions: [("verdict", "stale")]) == 1)
            #expect(ingress.metrics.counterTotal(label: "ingress.webhooks", dimensions: [("verdict", "valid")]) == 1)
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func signedGarbageIsMalformedAndSignedJSONIsKept() async throws {
        try await withIngress { ingress in
            for text in ["", "not json", "{", #"{"event":"x"}}"#, "{\"event\":\"\u{1}\"}", "[1,]"] {
                let response = try await ingress.webhook(Array(text.utf8))
                #expect(response.status == 400, "\(text)")
                #expect(response.problemType == "malformed-request")
            }
            #expect(try await ingress.webhook([0x22, 0xFF, 0x22]).status == 400)
            #expect(ingress.broker.messages.isEmpty)
            for text in ["[]", "17", #"{"event":null}"#, #"{"payload":{}}"#] {
                #expect(try await ingress.webhook(Array(text.utf8)).status == 202, "\(text)")
                #expect(ingress.broker.messages.last?.routingKey == "calendly.unknown")
            }
        }
    }

    @Test(
        .timeLimit(.minutes(1)),
        arguments: [
            ("event_type.created", "calendly.event_type.created"), ("something-new.v2", "calendly.something-new.v2"),
            ("Invitee.Created", "calendly.unknown"), ("a b", "calendly.unknown"), ("#", "calendly.unknown"),
            ("*.x", "calendly.unknown"), (".x", "calendly.unknown"), ("", "calendly.unknown"),
            ("zoë", "calendly.unknown"), (String(repeating: "x", count: 101), "calendly.unknown"),
        ])
    func routingKeysAreSafeWhateverTheEventIsCalled(event: String, routingKey: String) async throws {
        try await withIngress { ingress in
            let status = try await ingress.webhook(Array(#"{"event":"\#(event)"}"#.utf8)).status
            #expect(status == 202)
            #expect(ingress.broker.messages.map(\.routingKey) == [routingKey])
        }
    }

    @Test(
        .timeLimit(.minutes(1)),
        arguments: [
            PublishError.Kind.unavailable, .unknown, .refused, .returned(replyCode: 312, replyText: "NO_ROUTE"),
        ])
    func spoolsWhatTheBrokerDoesNotConfirm(failure: PublishError.Kind) async throws {
        try await withIngress { ingress in
            let body = try Samples.fixture("calendly/09-invitee-created-unicode.json")
            _ = try await ingress.webhook(body)
            ingress.broker.failure = failure
            let response = try await ingress.webhook(body)
            #expect(response.status == 202)
            let spooled = await ingress.operations.spooled
            // Each request has a trace of its own; all else is the same.
            func untraced(_ messages: [OutgoingMessage]) -> [OutgoingMessage] {
                messages.map { message in
                    var message = message
                    message.envelope.traceParent = nil
                    return message
                }
            }
            #expect(untraced(spooled) == untraced(ingress.broker.messages), "the same message, with the same id")
            #expect(ingress.metrics.counterTotal(label: "ingress.spooled", dimensions: [("kind", "webhook")]) == 1)
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func bothAwayIsUnavailableWithRetryAfter() async throws {
        try await withIngress { ingress in
            ingress.broker.failure = .unavailable
            await ingress.operations.fail(with: PostgresError(.connectionFailed, "refused"))
            let response = try await ingress.webhook(Array(#"{"event":"x"}"#.utf8))
            #expect(response.status == 503)
            #expect(response.problemType == "dependency-unavailable")
            #expect(response.headers["Retry-After"].flatMap(Int.init) ?? 0 > 0)
            #expect(ingress.metrics.counterTotal(label: "ingress.unavailable") == 1)
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func aFullWindowIsRefusedAtOnceAndNotSpooled() async throws {
        try await withIngress { ingress in
            ingress.broker.failure = .overloaded
            let response = try await ingress.webhook(Array(#"{"event":"x"}"#.utf8))
            #expect(response.status == 503)
            #expect(response.problemType == "overloaded")
            #expect(response.headers["Retry-After"].flatMap(Int.init) ?? 0 > 0)
            #expect(await ingress.operations.spooled.isEmpty)
            #expect(ingress.metrics.counterTotal(label: "ingress.overloaded") == 1)
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func answersOnlyAfterTheConfirm() async throws {
        try await withIngress { ingress in
            ingress.broker.hold()
            async let response = ingress.webhook(Array(#"{"event":"x"}"#.utf8))
            await ingress.broker.wait { $0.heldCount > 0 }
            #expect(ingress.metrics.counterTotal(label: "http.requests") == 0, "nothing was answered yet")
            ingress.broker.release()
            let status = try await response.status
            #expect(status == 202)
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func withoutASigningKeyNothingIsBelieved() async throws {
        try await withIngress {
            $0.calendlySigningKeys = []
        } _: { ingress in
            let response = try await ingress.webhook(Array(#"{"event":"x"}"#.utf8))
            #expect(response.status == 503)
            #expect(ingress.broker.messages.isEmpty)
        }
    }
}
