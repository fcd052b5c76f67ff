import Domain
import Foundation
import Ingress
import Persistence
import Testing
import Transport

@Suite struct ApiKeyAccessTests {
    private static let text = "neff_abcdefghijklmnopqrstuvwxyz0123456789ABCD"

    @Test(.timeLimit(.minutes(1)))
    func withoutAValidKeyNothingIsShown() async throws {
        try await withIngress { ingress in
            ingress.keys.add(Self.text, role: .admin, expiresAt: ingress.clock.now)
            ingress.keys.add(Self.text + "R", role: .admin, revokedAt: ingress.clock.now)
            let headers: [[(String, String)]] = [
                [], [("Authorization", "Basic dXNlcjpwYXNz")], [("Authorization", "Bearer")],
                [("Authorization", "Bearer  ")], [("Authorization", "Bearer neff_short")],
                [("Authorization", "Bearer other_abcdefghijklmnopqrstuvwxyz")],
                [("Authorization", "Bearer neff_unknownunknownunknownunknownunknown")],
                [("Authorization", "Bearer \(Self.text)")], [("Authorization", "Bearer \(Self.text)R")],
                [("Authorization", "Bearer neff_\(String(repeating: "x", count: 5_000))")],
            ]
            for fields in headers {
                for (method, path) in [("GET", "/v1/jobs"), ("POST", "/v1/jobs"), ("GET", "/v1/operations/x")] {
                    let response = try await ingress.send(method, path, headers: fields, key: nil)
                    #expect(response.status == 401, "\(method) \(path) \(fields)")
                    #expect(response.problemType == "unauthenticated")
                    #expect(response.headers["WWW-Authenticate"]?.hasPrefix("Bearer realm=\"neff\"") == true)
                }
            }
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func aKeyIsLookedUpOncePerHalfMinuteAndExpiryIsLookedAtEachTime() async throws {
        try await withIngress { ingress in
            ingress.keys.add(Self.text, role: .ops, expiresAt: ingress.clock.now.addingTimeInterval(20))
            for _ in 0..<5 {
                let response = try await ingress.send("GET", "/v1/jobs", key: Self.text)
                #expect(response.status == 200)
            }
            #expect(ingress.keys.lookUps == 1)
            ingress.clock.now += 20
            let status = try await ingress.send("GET", "/v1/jobs", key: Self.text).status
            #expect(status == 401)
            #expect(ingress.keys.lookUps == 1)
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func aRevocationIsKnownAfterHalfAMinute() async throws {
        try await withIngress { ingress in
            ingress.keys.add(Self.text, role: .ops)
            let status = try await ingress.send("GET", "/v1/jobs", key: Self.text).status
            #expect(status == 200)
            ingress.keys.revoke(Self.text)
            ingress.clock.now += 30
            let statusAfter = try await ingress.send("GET", "/v1/jobs", key: Self.text).status
            #expect(statusAfter == 401)
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func theSchemeMayBeWrittenInAnyCase() async throws {
        try await withIngress { ingress in
            for scheme in ["bearer", "BEARER"] {
                let header = ("Authorization", "\(scheme) \(Harness.apiKeyText)")
                let status = try await ingress.send("GET", "/v1/jobs", headers: [header], key: nil).status
                #expect(status == 200)
            }
        }
    }
}
