import HTTPTypes
import NIOCore
import Persistence

extension RouteTable {
    /// Everything that the ingress answers.
    static func ingress(
        webhook: CalendlyWebhook, staff: StaffAPI, replays: ReplayAPI, letters: LettersAPI, sessions: SessionsAPI,
        users: UsersAPI, keys: KeysAPI, more: [ConfigurationAPI.Entry], probes: Probes,
        limits: IngressConfiguration.Limits
    ) -> RouteTable {
        var routes: [Route] = []
        func open(
            _ method: HTTPRequest.Method, _ template: String, maxBodyBytes: Int = 4_096, isDocumented: Bool = true,
            _ handle: @escaping @Sendable (IngressRequest) async throws -> IngressResponse
        ) {
            routes.append(
                Route(
                    method, template, maxBodyBytes: maxBodyBytes, isDocumented: isDocumented, handler: .open(handle)))
        }
        func staffOnly(
            _ method: HTTPRequest.Method, _ template: String, _ permission: Permission,
            _ handle: @escaping @Sendable (IngressRequest, Principal) async throws -> IngressResponse
        ) {
            routes.append(
                Route(
                    method, template, maxBodyBytes: limits.maxAPIBodyBytes, handler: .authorized(permission, handle)))
        }

        open(.post, CalendlyWebhook.path, maxBodyBytes: limits.maxWebhookBodyBytes, webhook.receive)

        staffOnly(.post, "/v1/jobs", .createJob, staff.createJob)
        staffOnly(.get, "/v1/jobs", .readSchedule, staff.listJobs)
        staffOnly(.get, "/v1/jobs/{id}", .readSchedule, staff.getJob)
        staffOnly(.post, "/v1/jobs/{id}/reschedule", .changeJob, staff.rescheduleJob)
        staffOnly(.post, "/v1/jobs/{id}/cancel", .changeJob, staff.cancelJob)
        staffOnly(.get, "/v1/consultations", .readSchedule, staff.listConsultations)
        staffOnly(.get, "/v1/consultations/{id}", .readSchedule, staff.getConsultation)
        staffOnly(.get, "/v1/operations/{id}", .readSchedule, staff.getOperation)

        staffOnly(.post, "/v1/replay-campaigns", .replayLetters, replays.create)
        staffOnly(.get, "/v1/replay-campaigns", .readLetters, replays.list)
        staffOnly(.post, "/v1/replay-campaigns/plan", .replayLetters, replays.plan)
        staffOnly(.get, "/v1/replay-campaigns/{id}", .readLetters, replays.get)
        staffOnly(.get, "/v1/replay-campaigns/{id}/letters", .readLetters, replays.letters)
        for act in ReplayAct.allCases {
            staffOnly(.post, "/v1/replay-campaigns/{id}/\(act.rawValue)", .replayLetters, replays.act(act))
        }
        staffOnly(.get, "/v1/dead-letters", .readLetters, letters.list)
        staffOnly(.get, "/v1/dead-letters/groups", .readLetters, letters.groups)
        staffOnly(.get, "/v1/dead-letters/{id}", .readLetters, letters.get)
        staffOnly(.post, "/v1/dead-letters/{id}/edit", .changeLetters, letters.edit)
        staffOnly(.post, "/v1/dead-letters/{id}/discard", .changeLetters, letters.discard)
        staffOnly(.post, "/v1/dead-letters/{id}/restore", .changeLetters, letters.restore)

        open(.post, "/v1/sessions", maxBodyBytes: 16_384, sessions.logIn)
        staffOnly(.get, "/v1/sessions", .ownAccount, sessions.list)
        staffOnly(.delete, "/v1/sessions/current", .ownAccount, sessions.logOut)
        staffOnly(.delete, "/v1/sessions/{id}", .ownAccount, sessions.revoke)
        staffOnly(.get, "/v1/me", .ownAccount, sessions.me)
        staffOnly(.post, "/v1/me/password", .ownAccount, sessions.changePassword)

        open(.post, "/v1/bootstrap", maxBodyBytes: 16_384, users.bootstrap)
        staffOnly(.get, "/v1/users", .readAccess, users.list)
        staffOnly(.post, "/v1/users", .changeAccess, users.create)
        staffOnly(.get, "/v1/users/{id}", .readAccess, users.get)
        staffOnly(.patch, "/v1/users/{id}", .changeAccess, users.change)
        staffOnly(.post, "/v1/users/{id}/reset-password", .changeAccess, users.resetPassword)
        staffOnly(.get, "/v1/api-keys", .readAccess, keys.list)
        staffOnly(.post, "/v1/api-keys", .changeAccess, keys.create)
        staffOnly(.post, "/v1/api-keys/{id}/revoke", .changeAccess, keys.revoke)
        staffOnly(.get, "/v1/access-log", .readAccess, keys.accessLog)

        for entry in more { staffOnly(entry.method, entry.template, entry.permission, entry.handler) }

        open(.get, "/v1/openapi.json") { _ in OpenAPIDocument.response }
        open(.get, "/problems/{type}", ProblemPage.get)
        open(.get, "/healthz", isDocumented: false) { _ in .json(Array(#"{"live":true}"#.utf8)) }
        let readiness = SharedAnswer(lifetime: .seconds(1), ask: probes.isReady)
        open(.get, "/readyz", isDocumented: false) { _ in
            let isReady = await readiness.value()
            return IngressResponse(
                status: isReady ? .ok : .serviceUnavailable, headers: [.contentType: "application/json"],
                body: ByteBuffer(string: #"{"ready":\#(isReady)}"#))
        }
        return RouteTable(routes)
    }
}

/// The contract, as `GET /v1/openapi.json` serves it.
enum OpenAPIDocument {
    static let bytes = PackageResources.openapi_json

    static let response = IngressResponse.json(bytes, headers: [.cacheControl: "public, max-age=300"])
}

/// The page that a problem's `type` leads to.
enum ProblemPage {
    static func get(_ request: IngressRequest) throws -> IngressResponse {
        guard let type = ProblemType(rawValue: request.pathParameter) else {
            throw ProblemResponse(.notFound, "There is no problem of this type.")
        }
        return IngressResponse(
            status: .ok,
            headers: [.contentType: "text/plain; charset=utf-8", .cacheControl: "public, max-age=300"],
            body: ByteBuffer(string: "\(type.title) (\(type.status))\n\n\(type.advice)\n"))
    }
}
