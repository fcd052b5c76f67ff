import Domain
import HTTPTypes
import Messaging
import Persistence

/// How operations look from outside.
enum OperationAnswer {
    static func path(_ id: OperationID) -> String { "/v1/operations/\(id)" }

    /// "Accepted, look here": for an operation that is still pending.
    static func accepted(_ operation: Operation, request: IngressRequest) throws -> IngressResponse {
        .json(
            try document(operation, request: request), status: .accepted,
            headers: [.location: path(operation.id)])
    }

    /// The outcome itself, as if the work had been done while the caller waited.
    static func outcome(_ operation: Operation, request: IngressRequest) throws -> IngressResponse {
        let status = operation.httpStatus ?? (operation.status == .failed ? 500 : 200)
        guard operation.status == .succeeded else {
            return try problem(operation, status: status, request: request).response()
        }
        var headers: HTTPFields = [:]
        if status == 201, let subject = operation.subjectID { headers[.location] = "/v1/jobs/\(subject)" }
        let outcome = operation.outcome ?? Array("{}".utf8)
        if let version = (try? WireJSON.decode(Versioned.self, from: outcome))?.version {
            headers[.eTag] = EntityTag.text(version)
        }
        return .json(outcome, status: HTTPResponse.Status(code: status), headers: headers)
    }

    /// The body of `GET /v1/operations/{id}` and of a 202.
    static func document(_ operation: Operation, request: IngressRequest) throws -> [UInt8] {
        var members: [String: JSONValue] = [
            "id": .string(operation.id.rawValue),
            "status": .string(operation.status.rawValue),
            "created_at": .string(Instant.text(operation.createdAt)),
        ]
        if let subject = operation.subjectID { members["subject_id"] = .string(subject) }
        if let status = operation.httpStatus { members["http_status"] = .number("\(status)") }
        if let instant = operation.finishedAt { members["finished_at"] = .string(Instant.text(instant)) }
        switch operation.status {
        case .pending: break
        case .succeeded: members["outcome"] = try JSONParser.parse(operation.outcome ?? Array("{}".utf8))
        case .failed:
            let problem = problem(operation, status: operation.httpStatus ?? 500, request: request)
            members["outcome"] = try JSONParser.parse(WireJSON.encode(problem))
        }
        return JSONValue.object(members).encoded()
    }

    private static func problem(_ operation: Operation, status: Int, request: IngressRequest) -> ProblemDocument {
        let stored = operation.outcome.flatMap { try? WireJSON.decode(Problem.self, from: $0) }
        var problem = stored ?? ProblemType.internalError.problem("The request failed; its reason cannot be read.")
        problem.status = status
        return ProblemDocument(problem, instance: path(operation.id), requestID: request.requestID)
    }

    private struct Versioned: Decodable {
        var version: Int?
    }
}
