import Domain
import Foundation
import HTTPTypes
import Logging
import Persistence
import TestSupport
import Testing
import Transport

@testable import Ingress

@Suite struct OpenAPITests {
    private static func document() throws -> [String: Any] {
        try #require(
            try JSONSerialization.jsonObject(with: Data(OpenAPIDocument.bytes)) as? [String: Any])
    }

    /// Every object in the document, with its path.
    private static func walk(_ value: Any, _ path: String = "#", _ visit: (String, [String: Any]) throws -> Void)
        rethrows
    {
        if let object = value as? [String: Any] {
            try visit(path, object)
            for (name, member) in object { try walk(member, path + "/" + name, visit) }
        } else if let array = value as? [Any] {
            for (index, element) in array.enumerated() { try walk(element, path + "/\(index)", visit) }
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func documentAndRoutesAreTheSame() async throws {
        let harness = try Harness({ _ in }, probes: Probes())
        let routes = Set(
            harness.server.table.routes.filter(\.isDocumented).map { "\($0.method.rawValue) \($0.template)" })
        let paths = try #require(try Self.document()["paths"] as? [String: [String: Any]])
        let methods = ["get", "post", "put", "patch", "delete"]
        let documented = Set(
            paths.flatMap { path, item in
                item.keys.filter(methods.contains).map { "\($0.uppercased()) \(path)" }
            })
        #expect(routes == documented)
        #expect(routes.count == 91)
        await harness.client.close()
    }

    @Test func routesThatNeedAKeySaySo() async throws {
        let harness = try Harness({ _ in }, probes: Probes())
        let paths = try #require(try Self.document()["paths"] as? [String: [String: Any]])
        for route in harness.server.table.routes where route.isDocumented {
            let operation = try #require(paths[route.template]?[route.method.rawValue.lowercased()] as? [String: Any])
            let responses = try #require(operation["responses"] as? [String: Any])
            switch route.handler {
            case .authorized(let permission, _):
                #expect(operation["security"] == nil, "the document's own security asks for a key or a session")
                #expect(operation["x-permission"] as? String == permission.rawValue)
                // The words tell who has the right.
                let roles = AccessRole.allCases.filter { AccessMatrix.permissions(of: $0).contains(permission) }
                let words = operation["description"] as? String ?? ""
                if roles.count < AccessRole.allCases.count {
                    let names = roles.map(\.rawValue).joined(separator: ", ")
                    #expect(words.contains("`\(permission.rawValue)` (\(names))"), "\(route.template): \(names)")
                }
                #expect(responses["401"] != nil && responses["403"] != nil)
            case .open:
                #expect(operation["security"] != nil && operation["x-permission"] == nil)
            }
        }
        await harness.client.close()
    }

    @Test func everyReferenceLeadsSomewhereAndEveryComponentIsUsed() throws {
        let document = try Self.document()
        var used: Set<String> = []
        Self.walk(document) { path, object in
            guard let reference = object["$ref"] as? String else { return }
            used.insert(reference)
            var target: Any? = document
            for part in reference.split(separator: "/").dropFirst() {
                target = (target as? [String: Any])?[String(part)]
            }
            #expect(target != nil, "\(path): \(reference)")
        }
        let components = try #require(document["components"] as? [String: [String: Any]])
        for (kind, members) in components where kind != "securitySchemes" {
            for name in members.keys { #expect(used.contains("#/components/\(kind)/\(name)"), "\(kind)/\(name)") }
        }
    }

    @Test func rolesPermissionsAndActsAreListed() throws {
        let schemas = try #require(
            (try Self.document()["components"] as? [String: Any])?["schemas"] as? [String: [String: Any]])
        func names(_ schema: String) -> Set<String> { Set(schemas[schema]?["enum"] as? [String] ?? []) }
        #expect(names("Role") == Set(AccessRole.allCases.map(\.rawValue)))
        #expect(names("StaffRole") == Set(AccessRole.allCases.map(\.rawValue)).subtracting(["service"]))
        #expect(names("Permission") == Set(Permission.allCases.map(\.rawValue)))
        #expect(names("AccessAct") == Set(AccessEvent.Act.allCases.map(\.rawValue)))
    }

    @Test func everyProblemTypeIsListed() throws {
        let schemas = try #require(
            (try Self.document()["components"] as? [String: Any])?["schemas"] as? [String: [String: Any]])
        let names = try #require(schemas["ProblemType"]?["enum"] as? [String])
        #expect(Set(names) == Set(ProblemType.allCases.map(\.rawValue)))
        let properties = try #require(schemas["Problem"]?["properties"] as? [String: [String: Any]])
        let types = try #require(properties["type"]?["enum"] as? [String])
        #expect(Set(types) == Set(ProblemType.allCases.map { "/problems/" + $0.rawValue }))
    }

    @Test func problemExamplesHaveTheirTypesStatusAndTitle() throws {
        var count = 0
        try Self.walk(try Self.document()) { path, object in
            guard let example = object["example"] as? [String: Any], let type = example["type"] as? String,
                type.hasPrefix("/problems/")
            else { return }
            let known = try #require(ProblemType(rawValue: String(type.dropFirst("/problems/".count))), "\(path)")
            #expect(example["status"] as? Int == known.status, "\(path)")
            #expect(example["title"] as? String == known.title || known == .notFound, "\(path)")
            count += 1
        }
        #expect(count == 16)
    }

    @Test func requestExamplesPassTheRealValidators() throws {
        let paths = try #require(try Self.document()["paths"] as? [String: [String: Any]])
        let validators: [String: ([UInt8]) throws -> Void] = [
            "/v1/jobs": { _ = try JobInput.create($0) },
            "/v1/jobs/{id}/reschedule": { _ = try JobInput.reschedule($0) },
            "/v1/jobs/{id}/cancel": { _ = try JobInput.cancel($0) },
            "/v1/replay-campaigns": { _ = try ReplayInput.read($0) },
            "/v1/replay-campaigns/plan": { _ = try ReplayInput.read($0) },
            "/v1/sessions": { _ = try AccountInput.logIn($0) },
            "/v1/me/password": { _ = try AccountInput.changePassword($0, of: Samples.user) },
            "/v1/bootstrap": { _ = try AccountInput.bootstrap($0) },
            "/v1/users": { _ = try AccountInput.newUser($0) },
            "/v1/users/{id}": { _ = try AccountInput.change($0) },
            "/v1/users/{id}/reset-password": { _ = try AccountInput.resetPassword($0, of: Samples.user) },
            "/v1/api-keys": { _ = try AccountInput.newKey($0, at: Date(timeIntervalSince1970: 1_804_690_000)) },
        ]
        let configuration = Self.configurationValidators
        for (path, validate) in validators.merging(configuration.post, uniquingKeysWith: { one, _ in one }) {
            let operation = try #require((paths[path]?["post"] ?? paths[path]?["patch"]) as? [String: Any])
            let content = try #require(
                (operation["requestBody"] as? [String: Any])?["content"] as? [String: [String: Any]])
            let examples = try #require(content["application/json"]?["examples"] as? [String: [String: Any]])
            #expect(examples.count >= 1)
            for (name, example) in examples {
                let body = try JSONSerialization.data(withJSONObject: try #require(example["value"]))
                #expect(throws: Never.self, "\(path) \(name)") { try validate(Array(body)) }
            }
        }
    }

    /// What reads the bodies of writes to the configuration, by path.
    private static var configurationValidators:
        (post: [String: ([UInt8]) throws -> Void], change: [String: ([UInt8]) throws -> Void])
    {
        let birth = ConfigurationAPI.Birth(digest: Array(repeating: 1, count: 32), at: Date(timeIntervalSince1970: 0))
        func new<Record>(
            _ read: @escaping (inout ObjectReader, ConfigurationAPI.Birth) -> Record?
        ) -> ([UInt8]) throws -> Void {
            { body in
                _ = try JobInput.read(body) { reader -> Record? in
                    let record = read(&reader, birth)
                    _ = reader.string("reason", length: 1_000, multiline: true)
                    return record
                }
            }
        }
        func change<Record>(
            _ record: Record, _ fill: @escaping (inout ObjectReader, inout Record) -> Void
        ) -> ([UInt8]) throws -> Void {
            new { reader, _ in
                var record = record
                fill(&reader, &record)
                return record
            }
        }
        var post: [String: ([UInt8]) throws -> Void] = [:]
        var changes: [String: ([UInt8]) throws -> Void] = [:]
        let kinds: [(ResourceKind, String)] = [
            (.crew, "crews"), (.crewMember, "crew-members"), (.estimator, "estimators"), (.equipment, "equipment"),
        ]
        for (kind, name) in kinds {
            post["/v1/" + name] = new { ResourceInput.new(kind, &$0, $1) }
            let record = ResourceRecord(id: .make(), kind: kind, name: "x", at: birth.at)
            changes["/v1/\(name)/{id}"] = change(record) { ResourceInput.fill(&$0, &$1) }
        }
        post["/v1/yards"] = new(ResourceInput.newYard)
        changes["/v1/yards/{id}"] = change(Yard(id: .make(), name: "x", at: birth.at)) { ResourceInput.fill(&$0, &$1) }
        post["/v1/service-types"] = new(PolicyInput.newService)
        let service = ServiceTypeRecord(code: "x", name: "x", category: .custom, durationMinutes: 60, at: birth.at)
        changes["/v1/service-types/{code}"] = change(service) { PolicyInput.fill(&$0, &$1) }
        let consultation = ConsultationTypeRecord(
            kind: .triage, name: "x", durationMinutes: 60, bufferBeforeMinutes: 0, bufferAfterMinutes: 0,
            noticeMinutes: 0, horizonDays: 1, cutoffMinutes: 0, anyHour: false, eventTypes: [], version: 1,
            updatedAt: birth.at)
        changes["/v1/consultation-types/{kind}"] = change(consultation) { PolicyInput.fill(&$0, &$1) }
        changes["/v1/business-hours"] = change(BusinessWeek(days: [], version: 1, updatedAt: birth.at)) {
            PolicyInput.fill(&$0, &$1)
        }
        post["/v1/holidays"] = new(PolicyInput.newHoliday)
        post["/v1/time-off"] = new(PolicyInput.newAbsence)
        post["/v1/maintenance"] = new(PolicyInput.newAbsence)
        post["/v1/conflict-check"] = { _ = try ConflictCheckInput.read($0) }
        return (post, changes)
    }

    @Test func examplesOfChangesPassTheRealValidatorsAndNameEveryField() throws {
        let document = try Self.document()
        let paths = try #require(document["paths"] as? [String: [String: Any]])
        let schemas = try #require((document["components"] as? [String: Any])?["schemas"] as? [String: [String: Any]])
        let validators = Self.configurationValidators
        for (path, validate) in validators.post.merging(validators.change, uniquingKeysWith: { one, _ in one }) {
            let item = try #require(paths[path])
            let operation = try #require((item["patch"] ?? item["put"] ?? item["post"]) as? [String: Any])
            let content = try #require(
                ((operation["requestBody"] as? [String: Any])?["content"] as? [String: [String: Any]])?[
                    "application/json"])
            for (name, example) in try #require(content["examples"] as? [String: [String: Any]]) {
                let body = try JSONSerialization.data(withJSONObject: try #require(example["value"]))
                #expect(throws: Never.self, "\(path) \(name)") { try validate(Array(body)) }
            }
            // The validators list the fields that there are when they meet one that there is not.
            let schema = try #require(content["schema"] as? [String: Any])
            let reference = (schema["$ref"] ?? (schema["allOf"] as? [[String: Any]])?.first?["$ref"]) as? String
            let name = String(try #require(reference?.split(separator: "/").last))
            let fields = try #require(schemas[name]?["properties"] as? [String: Any])
            let problem = try #require(throws: ProblemResponse.self) { try validate(Array(#"{"zz":1}"#.utf8)) }
            let unknown = try #require(problem.problem.errors.first { $0.pointer == "/zz" })
            #expect(unknown.detail.hasSuffix("there are " + fields.keys.sorted().joined(separator: ", ")), "\(path)")
        }
    }

    @Test(arguments: [
        ("LogInRequest", ["email", "password"]), ("PasswordChange", ["current_password", "new_password"]),
        ("PasswordReset", ["password"]), ("BootstrapRequest", ["email", "name", "password", "token"]),
        ("UserRequest", ["email", "name", "password", "role"]), ("UserChange", ["disabled", "name", "role"]),
        ("ApiKeyRequest", ["expires_at", "name", "role"]),
        ("JobRequest", ["crew", "customer", "duration_minutes", "notes", "priority", "service", "site", "starts_at"]),
        ("RescheduleRequest", ["crew", "duration_minutes", "reason", "starts_at"]), ("CancelRequest", ["reason"]),
        (
            "ReplayRequest",
            [
                "abort_above", "canary", "letters", "max_in_flight", "queue", "ramp", "rate", "reason", "target_queue",
                "type",
            ]
        ),
    ])
    func schemasHaveTheFieldsThatTheValidatorsKnow(schema: String, fields: [String]) throws {
        let schemas = try #require(
            (try Self.document()["components"] as? [String: Any])?["schemas"] as? [String: [String: Any]])
        let properties = try #require(schemas[schema]?["properties"] as? [String: Any])
        #expect(properties.keys.sorted() == fields)
        // The validators list the fields that there are when they meet one that there is not.
        let problem = try #require(throws: ProblemResponse.self) {
            switch schema {
            case "JobRequest": _ = try JobInput.create(Array(#"{"zz":1}"#.utf8))
            case "LogInRequest": _ = try AccountInput.logIn(Array(#"{"zz":1}"#.utf8))
            case "PasswordChange":
                _ = try AccountInput.changePassword(Array(#"{"zz":1}"#.utf8), of: Samples.user)
            case "PasswordReset": _ = try AccountInput.resetPassword(Array(#"{"zz":1}"#.utf8), of: Samples.user)
            case "BootstrapRequest": _ = try AccountInput.bootstrap(Array(#"{"zz":1}"#.utf8))
            case "UserRequest": _ = try AccountInput.newUser(Array(#"{"zz":1}"#.utf8))
            case "UserChange": _ = try AccountInput.change(Array(#"{"zz":1}"#.utf8))
            case "ApiKeyRequest": _ = try AccountInput.newKey(Array(#"{"zz":1}"#.utf8), at: Date())
            case "ReplayRequest": _ = try ReplayInput.read(Array(#"{"zz":1}"#.utf8))
            case "RescheduleRequest": _ = try JobInput.reschedule(Array(#"{"zz":1}"#.utf8))
            default: _ = try JobInput.cancel(Array(#"{"zz":1}"#.utf8))
            }
        }
        let unknown = try #require(problem.problem.errors.first { $0.pointer == "/zz" })
        #expect(unknown.detail.hasSuffix(fields.joined(separator: ", ")))
    }

    @Test(.timeLimit(.minutes(1)))
    func theDocumentIsServed() async throws {
        try await withIngress { ingress in
            let response = try await ingress.send("GET", "/v1/openapi.json", key: nil)
            #expect(response.status == 200)
            #expect(response.headers["Content-Type"] == "application/json")
            #expect(response.body == OpenAPIDocument.bytes)
        }
    }
}
