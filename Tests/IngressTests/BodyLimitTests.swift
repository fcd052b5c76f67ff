import Foundation
import Messaging
import Testing
import Transport

@Suite struct BodyLimitTests {
    private static let mebibyte = 1 << 20

    /// JSON with exactly this many bytes.
    private static func json(_ size: Int) -> [UInt8] {
        let frame = #"{"event":"x","pad":""}"#.utf8.count
        return Array("{\"event\":\"x\",\"pad\":\"".utf8) + Array(repeating: UInt8(ascii: "p"), count: size - frame)
            + Array("\"}".utf8)
    }

    @Test(.timeLimit(.minutes(1)))
    func aMebibyteIsTakenAndOneByteMoreIsNot() async throws {
        try await withIngress { ingress in
            let largest = Self.json(Self.mebibyte)
            #expect(largest.count == Self.mebibyte)
            #expect(try await ingress.webhook(largest).status == 202)
            #expect(ingress.broker.messages.first?.envelope.body == largest)
            let response = try await ingress.webhook(Self.json(Self.mebibyte + 1))
            #expect(response.status == 413)
            #expect(response.problemType == "payload-too-large")
            #expect(response.headers["Connection"] == "close")
            #expect(ingress.broker.messages.count == 1)
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func anAnnouncedLengthIsRefusedBeforeAnyOfItIsSent() async throws {
        try await withIngress { ingress in
            try await RawConnection.with(port: ingress.port) { connection in
                try await connection.send(
                    "POST /webhooks/calendly HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\nExpect: 100-continue\r\n\r\n"
                )
                #expect(await connection.receive(until: "\r\n\r\n"))
                #expect(connection.received.hasPrefix("HTTP/1.1 413"))
                #expect(!connection.received.contains("100 Continue"))
            }
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func chunksAreCountedAndReadNoFurther() async throws {
        try await withIngress { ingress in
            try await RawConnection.with(port: ingress.port) { connection in
                try await connection.send(
                    "POST /webhooks/calendly HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
                let chunk =
                    Array("10000\r\n".utf8) + Array(repeating: UInt8(ascii: "p"), count: 65_536)
                    + Array("\r\n".utf8)
                var sent = 0
                // A peer that never stops: the server has to.
                while sent < 64 << 20, (try? await connection.send(chunk)) != nil { sent += 65_536 }
                #expect(sent < 64 << 20, "the server took everything")
                let answer = await connection.receiveToEnd()
                #expect(answer.hasPrefix("HTTP/1.1 413"))
            }
            #expect(ingress.broker.messages.isEmpty)
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func chunkedBodiesWithinTheLimitAreJoined() async throws {
        try await withIngress { ingress in
            let body = Array(#"{"event":"invitee.created"}"#.utf8)
            let header = Signing.header(body, at: ingress.clock.now)
            try await RawConnection.with(port: ingress.port) { connection in
                try await connection.send(
                    "POST /webhooks/calendly HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                        + "calendly-webhook-signature: \(header)\r\n\r\n")
                for byte in body { try await connection.send(Array("1\r\n".utf8) + [byte] + Array("\r\n".utf8)) }
                try await connection.send("0\r\n\r\n")
                #expect(await connection.receive(until: "\r\n\r\n"))
                #expect(connection.received.hasPrefix("HTTP/1.1 202"))
            }
            #expect(ingress.broker.messages.map(\.envelope.body) == [body])
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func whoeverAsksIsToldToContinue() async throws {
        try await withIngress { ingress in
            let body = Array(#"{"event":"x"}"#.utf8)
            let header = Signing.header(body, at: ingress.clock.now)
            try await RawConnection.with(port: ingress.port) { connection in
                try await connection.send(
                    "POST /webhooks/calendly HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.count)\r\n"
                        + "Calendly-Webhook-Signature: \(header)\r\nExpect: 100-continue\r\n\r\n")
                #expect(await connection.receive(until: "100 Continue\r\n\r\n"))
                try await connection.send(body)
                #expect(await connection.receive(until: "HTTP/1.1 202"))
            }
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func otherRequestsMayHave256KiB() async throws {
        try await withIngress { ingress in
            let notes = String(repeating: "n", count: 256 << 10)
            let response = try await ingress.send(
                "POST", "/v1/jobs", headers: [("Idempotency-Key", "k")], body: "{\"notes\":\"\(notes)\"}")
            #expect(response.status == 413)
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func aBodyCutShortIsNoRequest() async throws {
        try await withIngress { ingress in
            try await RawConnection.with(port: ingress.port) { connection in
                try await connection.send(
                    "POST /webhooks/calendly HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"event\":")
                connection.finish()
                let answer = await connection.receiveToEnd()
                #expect(!answer.contains("202"))
            }
            #expect(ingress.broker.messages.isEmpty)
            #expect(await ingress.operations.spooled.isEmpty)
        }
    }
}
