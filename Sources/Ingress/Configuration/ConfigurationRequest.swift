import Domain
import Foundation
import HTTPTypes
import Messaging
import Persistence

/// What a write to the configuration says beside its fields: for which version, whether it is only tried, and why.
struct ConfigurationRequest {
    /// The fields; none if there is no body.
    let members: [String: JSONValue]
    /// `Prefer: dry-run`: the answer is that of the write, and nothing is kept.
    let isDryRun: Bool
    private let request: IngressRequest
    private let principal: Principal

    /// - Throws: `ProblemResponse`: 400 or 415 if the body is not JSON, 422 if it is no object.
    init(_ request: IngressRequest, _ principal: Principal) throws {
        self.request = request
        self.principal = principal
        isDryRun = DryRunPreference.read(request.headers)
        guard !request.body.isEmpty else {
            members = [:]
            return
        }
        try StaffAPI.requireJSON(request)
        members = try JobInput.members(request.body)
    }

    /// Reads the fields, among them `reason`, which goes to the change log.
    ///
    /// - Throws: `ProblemResponse` 422 with every fault.
    func fields<Value>(
        _ read: (inout ObjectReader) -> Value?
    ) throws -> (value: Value, note: ChangeNote) {
        try JobInput.read(members) { reader in
            let value = read(&reader)
            let reason = reader.string("reason", length: 1_000, multiline: true)
            return value.map { ($0, note(reason)) }
        }
    }

    private func note(_ reason: String?) -> ChangeNote {
        ChangeNote(
            actor: principal.name, source: .staffAPI, reason: reason, requestID: request.requestID,
            at: request.receivedAt)
    }

    /// The operation that the request is under its idempotency key.
    ///
    /// - Throws: `ProblemResponse` 400 if there is no key.
    func operation() throws -> Persistence.Operation {
        let key = try IdempotencyKey.read(request.headers)
        let route = "\(request.method.rawValue) \(request.path)"
        let identity = [principal.id, route, key]
        let content = String(decoding: JSONValue.object(members).encoded(), as: UTF8.self)
        return Persistence.Operation(
            id: OperationID(digest: MessageID.digest(["operation"] + identity)), principal: principal.id, route: route,
            idempotencyKey: key, requestHash: MessageID.hex(MessageID.digest([content])),
            // No message is sent; the id is taken all the same, so that none ever has it.
            messageID: MessageID.hex(MessageID.digest(["configuration"] + identity).prefix(16)),
            createdAt: request.receivedAt)
    }

    /// Marks an answer to a request that was only tried.
    func marked(_ response: IngressResponse) -> IngressResponse {
        guard isDryRun else { return response }
        var response = response
        response.headers[.preferenceApplied] = "dry-run"
        response.headers[.location] = nil
        return response
    }
}

/// `Prefer: dry-run`.
enum DryRunPreference {
    static func read(_ headers: HTTPFields) -> Bool {
        (headers[.prefer] ?? "").split(separator: ",").contains { preference in
            preference.split(separator: ";").first?.trimming(\.isWhitespace).lowercased() == "dry-run"
        }
    }
}
