import Calendly
import Crypto
import Foundation
import TestSupport
import Testing

@Suite struct WebhookSignatureTests {
    private static let key = "a signing key for tests"
    private static let body = Array(#"{"event":"invitee.created"}"#.utf8)
    private static let sentAt: Int64 = 1_804_690_000
    private static let header = WebhookSignature.sign(body: body, key: key, at: sentAt)

    private static func verify(
        _ header: String?, body: [UInt8] = body, keys: [String] = [key], after seconds: Double = 1
    ) -> WebhookSignature.Verdict {
        WebhookSignature.verify(
            header: header, body: body, keys: keys, now: Date(timeIntervalSince1970: Double(sentAt) + seconds))
    }

    // MARK: - The shared vectors

    private struct Vector: Decodable {
        var name: String
        var signingKey: String
        var now: Double
        var body: String?
        var bodyFile: String?
        var bodySha256: String?
        var header: String?
        var expect: String
    }

    @Test func everyVectorGetsItsVerdictAtItsOwnClock() throws {
        struct File: Decodable {
            struct Section: Decodable { var vectors: [Vector] }
            var calendly: Section
        }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let vectors = try decoder.decode(File.self, from: CalendlyFixture.file("signatures.json")).calendly.vectors
        #expect(vectors.count == 26)
        var counts: [String: Int] = [:]
        for vector in vectors {
            let body: [UInt8]
            if let file = vector.bodyFile {
                body = Array(try CalendlyFixture.file(file))
                let digest = SHA256.hash(data: body).map { String(Int($0) + 0x100, radix: 16).dropFirst() }.joined()
                #expect(digest == vector.bodySha256, "\(vector.name): the file's bytes have changed")
            } else {
                body = Array(try #require(vector.body).utf8)
            }
            let verdict = WebhookSignature.verify(
                header: vector.header, body: body, keys: [vector.signingKey],
                now: Date(timeIntervalSince1970: vector.now))
            let expected: WebhookSignature.Verdict =
                switch vector.name {
                case "stale-by-one-second": .stale(age: .seconds(181))
                case "stale-one-hour": .stale(age: .seconds(3600))
                case "future-beyond-skew": .stale(age: .seconds(-600))
                case "missing-header": .invalid(reason: .missing)
                case let name where name.hasPrefix("malformed-"): .invalid(reason: .malformed)
                case _ where vector.expect == "accept": .valid(keyIndex: 0)
                default: .invalid(reason: .mismatch)
                }
            #expect(verdict == expected, "\(vector.name)")
            switch verdict {
            case .valid: #expect(vector.expect == "accept", "\(vector.name)")
            case .stale, .invalid: #expect(vector.expect == "reject", "\(vector.name)")
            }
            counts["\(verdict)".prefix { $0 != "(" } + "", default: 0] += 1
        }
        #expect(counts == ["valid": 9, "stale": 3, "invalid": 14])
    }

    // MARK: - Keys

    @Test func theFormerKeyStillCounts() {
        #expect(Self.verify(Self.header, keys: ["new", Self.key]) == .valid(keyIndex: 1))
        #expect(Self.verify(Self.header, keys: ["new", "other"]) == .invalid(reason: .mismatch))
    }

    @Test func withoutAKeyNothingIsValid() {
        #expect(Self.verify(Self.header, keys: []) == .invalid(reason: .mismatch))
    }

    @Test func anEmptyKeyIsNotAKey() {
        let forged = WebhookSignature.sign(body: Self.body, key: "", at: Self.sentAt)
        #expect(Self.verify(forged, keys: ["", Self.key]) == .invalid(reason: .mismatch))
    }

    // MARK: - Time

    @Test(arguments: [
        (180.0, true), (180.9, true), (181, false), (-60, true), (-60.5, false), (-61, false),
    ])
    func theWindowIsInclusiveInWholeSeconds(after: Double, isFresh: Bool) {
        let verdict = Self.verify(Self.header, after: after)
        if isFresh {
            #expect(verdict == .valid(keyIndex: 0))
        } else {
            #expect(verdict == .stale(age: .seconds(Int(after.rounded(.down)))))
        }
    }

    @Test func theTimeIsSignedAsText() {
        let padded = Self.header.replacing("t=", with: "t=0")
        #expect(Self.verify(padded) == .invalid(reason: .mismatch))
    }

    @Test(arguments: ["99999999999999999999999", "2000000000000", "-5", "+5", "1e9", " ", "1804690000.0"])
    func aTimeThatIsNoneIsMalformed(time: String) {
        let mac = Self.header.split(separator: ",")[1]
        #expect(Self.verify("t=\(time),\(mac)") == .invalid(reason: .malformed))
    }

    @Test func twoTimesAreMalformed() {
        #expect(Self.verify(Self.header + ",t=1") == .invalid(reason: .malformed))
        #expect(Self.verify("t=1," + Self.header) == .invalid(reason: .malformed))
    }

    // MARK: - Candidates

    @Test func aMalformedCandidateDoesNotSpoilAGoodOne() {
        #expect(Self.verify(Self.header + ",v1=abc") == .valid(keyIndex: 0))
    }

    @Test func everySingleFlippedBitIsAMismatch() throws {
        let mac = Array(try #require(Self.header.split(separator: "=").last))
        for index in mac.indices {
            let digit = try #require(mac[index].hexDigitValue)
            for bit in 0..<4 {
                var forged = mac
                forged[index] = Character(String(digit ^ 1 << bit, radix: 16))
                #expect(Self.verify("t=\(Self.sentAt),v1=\(String(forged))") == .invalid(reason: .mismatch))
            }
        }
    }

    @Test func aLongHeaderIsRefusedUnread() {
        let long = Self.header + String(repeating: ",v2=00", count: 400)
        #expect(Self.verify(long) == .invalid(reason: .malformed))
    }

    @Test func otherSchemesAloneAreMalformed() {
        #expect(Self.verify(Self.header.replacing("v1", with: "v0")) == .invalid(reason: .malformed))
        #expect(Self.verify(Self.header.replacing("v1", with: "V1")) == .invalid(reason: .malformed))
    }
}
