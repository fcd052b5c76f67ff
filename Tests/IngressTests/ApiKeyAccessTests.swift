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

    @Test(arguments: ApiKeyRole.allCases)
    func rolesHaveTheRightsOfTheTable(role: ApiKeyRole) {
        let expected: Set<Permission> =
            switch role {
            case .admin: Set(Permission.allCases)
            case .operationsManager: [.readSchedule, .createJob, .changeJob, .changeResources, .changeAbsences]
            case .dispatcher: [.readSchedule, .createJob, .changeJob, .changeAbsences]
            case .service: [.readSchedule, .createJob, .changeJob]
            case .sales, .office: [.readSchedule, .createJob]
            case .ops: [.readSchedule, .readLetters, .changeLetters, .replayLetters]
            case .fieldSupervisor: [.readSchedule]
            }
        #expect(role.permissions == expected)
    }

    @Test(.timeLimit(.minutes(1)), arguments: ApiKeyRole.allCases)
    func everyRouteAsksForItsRight(role: ApiKeyRole) async throws {
        try await withIngress { ingress in
            ingress.keys.add(Self.text, role: role)
            let job = Samples.job.id
            let requests: [(String, String, Permission)] = [
                ("GET", "/v1/jobs", .readSchedule), ("GET", "/v1/jobs/\(job)", .readSchedule),
                ("GET", "/v1/consultations", .readSchedule),
                ("GET", "/v1/consultations/\(Samples.consultation.id)", .readSchedule),
                ("GET", "/v1/operations/opn_00000000000000000000000000", .readSchedule),
                ("POST", "/v1/jobs", .createJob), ("POST", "/v1/jobs/\(job)/reschedule", .changeJob),
                ("POST", "/v1/jobs/\(job)/cancel", .changeJob),
                ("GET", "/v1/replay-campaigns", .replayLetters), ("POST", "/v1/replay-campaigns", .replayLetters),
                ("POST", "/v1/replay-campaigns/plan", .replayLetters),
                ("GET", "/v1/replay-campaigns/x", .replayLetters),
                ("GET", "/v1/replay-campaigns/x/letters", .replayLetters),
                ("POST", "/v1/replay-campaigns/x/recall", .replayLetters),
                ("GET", "/v1/dead-letters", .readLetters),
                ("GET", "/v1/dead-letters/groups", .readLetters), ("GET", "/v1/dead-letters/dlt_x", .readLetters),
                ("POST", "/v1/dead-letters/dlt_x/edit", .changeLetters),
                ("POST", "/v1/dead-letters/dlt_x/discard", .changeLetters),
                ("POST", "/v1/dead-letters/dlt_x/restore", .changeLetters),
                ("GET", "/v1/crews", .readSchedule), ("POST", "/v1/crews", .changeResources),
                ("PATCH", "/v1/equipment/res_x", .changeResources), ("DELETE", "/v1/yards/yrd_x", .changeResources),
                ("PUT", "/v1/business-hours", .changeResources), ("GET", "/v1/time-off", .readSchedule),
                ("POST", "/v1/time-off", .changeAbsences), ("DELETE", "/v1/maintenance/abs_x", .changeAbsences),
                ("GET", "/v1/availability", .readSchedule), ("POST", "/v1/conflict-check", .readSchedule),
            ]
            for (method, path, permission) in requests {
                let response = try await ingress.send(method, path, key: Self.text)
                let isAllowed = role.permissions.contains(permission)
                #expect((response.status == 403) == !isAllowed, "\(role) \(method) \(path): \(response.status)")
                #expect((response.problemType == "forbidden") == !isAllowed)
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
