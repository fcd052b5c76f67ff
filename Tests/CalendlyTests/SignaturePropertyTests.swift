import Foundation
import TestSupport
import Testing

@testable import Calendly

/// What must hold for any header whatever; see `counterexample` for how to try more of them.
@Suite(.timeLimit(.minutes(60))) struct SignaturePropertyTests {
    private static let now = Date(timeIntervalSince1970: 1_803_902_400)
    private static let key = "a signing key"

    /// A damaged header or body never passes for what was signed. What may change is what carries no meaning: the order,
    /// space, the case of digits, other schemes, and further MACs.
    @Test func onlyWhatWasSignedPasses() {
        let tokens = [
            "t=", "v1=", "v0=", ",", "=", " ", "\t", "0", "a", "A", "t=1,", ",v1=" + String(repeating: "0", count: 64),
        ]
        var passed = 0
        let found = counterexample(in: 4_000) { random in
            let body = random.bytes(maxCount: 40)
            let seconds = Int64(Self.now.timeIntervalSince1970) - Int64.random(in: -100...300, using: &random)
            let header = WebhookSignature.sign(body: body, key: Self.key, at: seconds)
            let isBodyDamaged = random.oneIn(4)
            let received = isBodyDamaged ? random.damaged(body) : body
            let damaged =
                isBodyDamaged
                ? header
                : String(decoding: random.damaged(Array(header.utf8), tokens: tokens), as: UTF8.self)
            switch WebhookSignature.verify(
                header: damaged, body: received, keys: ["", "former", Self.key], now: Self.now)
            {
            case .invalid(let reason):
                return damaged == header && received == body ? "\(reason): \(header)" : nil
            case .valid(let keyIndex):
                passed += 1
                guard keyIndex == 2, (-60...180).contains(Int64(Self.now.timeIntervalSince1970) - seconds) else {
                    return "fresh by key \(keyIndex): \(damaged.debugDescription)"
                }
            case .stale(let age):
                guard age == .seconds(Int64(Self.now.timeIntervalSince1970) - seconds),
                    !(-60...180).contains(age.components.seconds)
                else { return "stale by \(age): \(damaged.debugDescription)" }
            }
            let mac = header.split(separator: "=")[2]
            let isSame = received == body && damaged.lowercased().contains(mac) && damaged.contains("\(seconds)")
            return isSame ? nil : "passed: \(damaged.debugDescription)"
        }
        #expect(found == nil)
        #expect(passed > 0)
    }

    @Test func anyHeaderGetsAVerdict() {
        let parts = [
            "t", "v1", "v0", "=", ",", " ", "\t", "1803902400", "-1", "99999999999999999999", "٣",
            String(repeating: "a", count: 64), String(repeating: "é", count: 32),
        ]
        let found = counterexample(in: 6_000) { random in
            var header = ""
            for _ in 0..<Int.random(in: 0...(random.oneIn(50) ? 400 : 12), using: &random) {
                header += random.oneIn(8) ? random.text(maxScalars: 3) : random.pick(parts)
            }
            let verdict = WebhookSignature.verify(header: header, body: [], keys: [Self.key], now: Self.now)
            switch verdict {
            case .invalid(.mismatch): return header.utf8.count > WebhookSignature.maxHeaderBytes ? "too long" : nil
            case .invalid(.malformed): return nil
            default: return "\(verdict): \(header.debugDescription)"
            }
        }
        #expect(found == nil)
    }
}
