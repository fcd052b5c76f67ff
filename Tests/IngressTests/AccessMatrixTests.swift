import Domain
import Foundation
import HTTPTypes
import Persistence
import TestSupport
import Testing
import Transport

@testable import Ingress

/// Every cell of the table of rights, through the server: each role, by key and by session, and each documented operation.
@Suite struct AccessMatrixTests {
    struct Operation: Sendable, CustomStringConvertible {
        let method: String
        let path: String
        let permission: Permission

        var description: String { "\(method) \(path)" }
    }

    /// What the contract says needs a right.
    static func operations() throws -> [Operation] {
        let document = try #require(
            try JSONSerialization.jsonObject(with: Data(OpenAPIDocument.bytes)) as? [String: Any])
        let paths = try #require(document["paths"] as? [String: [String: Any]])
        return try paths.flatMap { path, item in
            try item.compactMap { method, value -> Operation? in
                guard let operation = value as? [String: Any], operation["security"] == nil else { return nil }
                let name = try #require(operation["x-permission"] as? String, "\(method) \(path)")
                return Operation(
                    method: method.uppercased(), path: path.replacing("{id}", with: "x"),
                    permission: try #require(Permission(rawValue: name), "\(method) \(path)"))
            }
            // Logging out last: the session goes on until then.
        }.sorted {
            ($0.path == "/v1/sessions/current" ? 1 : 0, "\($0)") < ($1.path == "/v1/sessions/current" ? 1 : 0, "\($1)")
        }
    }

    @Test func theTableIsTheOneThatWasDecided() {
        let all = Set(Permission.allCases)
        let staff: Set<Permission> = [.ownAccount, .readSchedule]
        let expected: [AccessRole: Set<Permission>] = [
            .admin: all,
            .operationsManager: staff.union(
                [.createJob, .changeJob, .changeResources, .changeAbsences, .readLetters]),
            .dispatcher: staff.union([.createJob, .changeJob, .changeAbsences, .readLetters]),
            .sales: staff.union([.createJob]), .office: staff.union([.createJob]),
            .fieldSupervisor: staff,
            .ops: staff.union([.readLetters, .changeLetters, .replayLetters, .readAccess]),
            .service: staff.union([.createJob, .changeJob]),
        ]
        for role in AccessRole.allCases {
            #expect(AccessMatrix.permissions(of: role) == expected[role], "\(role)")
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func everyRouteAsksForOnePermissionAndEveryPermissionGuardsARoute() async throws {
        let harness = try Harness({ _ in }, probes: Probes())
        var used: Set<Permission> = []
        var open: Set<String> = []
        for route in harness.server.table.routes {
            switch route.handler {
            case .authorized(let permission, _): used.insert(permission)
            case .open: open.insert("\(route.method.rawValue) \(route.template)")
            }
        }
        #expect(used == Set(Permission.allCases))
        #expect(
            open == [
                "POST /webhooks/calendly", "POST /v1/sessions", "POST /v1/bootstrap", "GET /v1/openapi.json",
                "GET /problems/{type}", "GET /healthz", "GET /readyz",
            ])
        await harness.client.close()
    }

    private static func check(
        _ response: Transport.HTTPResponse, _ role: AccessRole, _ operation: Operation, _ how: String
    ) {
        if AccessMatrix.permissions(of: role).contains(operation.permission) {
            #expect(response.status != 401 && response.status != 403, "\(role) \(how): \(operation)")
        } else {
            #expect(response.status == 403 && response.problemType == "forbidden", "\(role) \(how): \(operation)")
            #expect(response.text.contains("lacks the right \(operation.permission.rawValue)"))
        }
    }

    @Test(.timeLimit(.minutes(3)))
    func everyCellByAPIKey() async throws {
        try await AccountRig.with { rig in
            let operations = try Self.operations()
            var refusals = 0
            for role in AccessRole.allCases {
                let key = try await rig.addKey(role)
                for operation in operations {
                    let response = try await rig.send(operation.method, operation.path, key: key)
                    Self.check(response, role, operation, "by key")
                    if response.status == 403 { refusals += 1 }
                }
            }
            #expect(operations.count == 86)
            let recorded = try await rig.record(.refusePermission).count
            #expect(recorded == refusals && refusals > 100, "every refusal is recorded")
        }
    }

    @Test(.timeLimit(.minutes(3)))
    func everyCellBySession() async throws {
        try await AccountRig.with { rig in
            for role in AccessRole.allCases where role != .service {
                let user = try await rig.addUser("\(role.rawValue)@example.com", role: role)
                let browser = try await rig.logIn(user.email)
                for operation in try Self.operations() {
                    let response = try await rig.send(operation.method, operation.path, as: browser)
                    Self.check(response, role, operation, "by session")
                }
            }
        }
    }

    @Test(.timeLimit(.minutes(2)))
    func withoutCredentialsEveryOperationIsRefused() async throws {
        try await AccountRig.with { rig in
            let nobody = AccountRig.Browser(
                cookie: "neff_session=\(SecretToken.make().text)", csrfToken: "x", id: "")
            for operation in try Self.operations() {
                for browser in [nil, nobody] {
                    let response = try await rig.send(operation.method, operation.path, as: browser)
                    #expect(response.status == 401 && response.problemType == "unauthenticated", "\(operation)")
                    #expect(response.headers["WWW-Authenticate"] != nil)
                }
            }
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func aRefusalTellsWhoAskedForWhatAndFromWhere() async throws {
        try await AccountRig.with { rig in
            let user = try await rig.addUser(role: .sales)
            let browser = try await rig.logIn()
            let headers = [("X-Request-Id", "req-7")]
            let response = try await rig.send("GET", "/v1/users", as: browser, headers: headers)
            #expect(response.status == 403)
            let event = try #require(try await rig.record(.refusePermission).first)
            #expect(event.actor.id == user.id.rawValue && event.actor.name == "user:office")
            #expect(event.actor.address == "127.0.0.1" && event.actor.requestID == "req-7")
            #expect(
                event.details == ["permission": "read_access", "request": "GET /v1/users", "role": "sales"])
        }
    }
}
