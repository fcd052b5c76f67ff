import Domain
import HTTPTypes
import Messaging
import NIOCore

/// A problem together with headers that go with it; handlers throw it.
struct ProblemResponse: Error {
    var problem: Problem
    var headers: HTTPFields = [:]

    init(_ problem: Problem, headers: HTTPFields = [:]) {
        self.problem = problem
        self.headers = headers
    }

    init(_ type: ProblemType, _ detail: String? = nil, errors: [Problem.FieldError] = [], headers: HTTPFields = [:]) {
        self.init(type.problem(detail, errors: errors), headers: headers)
    }

    /// A query parameter or header that does not parse.
    ///
    /// - Parameter name: such as `limit` or `If-Match`; it takes the pointer's place, because none leads there.
    static func malformed(_ name: String, _ detail: String) -> ProblemResponse {
        ProblemResponse(
            .malformedRequest, "\(name): \(detail)",
            errors: [Problem.FieldError(pointer: name, code: "malformed", detail: detail)])
    }

    static func unavailable(_ detail: String, retryAfter seconds: Int = 10) -> ProblemResponse {
        ProblemResponse(.dependencyUnavailable, detail, headers: [.retryAfter: "\(seconds)"])
    }

    static let overloaded = ProblemResponse(
        .overloaded, "The window of unconfirmed messages is full.", headers: [.retryAfter: "2"])
}

/// A problem as it is sent: RFC 9457, with the members that our API adds.
struct ProblemDocument: Encodable {
    let type: String
    let title: String
    let status: Int
    let detail: String?
    /// The path that was asked for.
    let instance: String
    let requestID: String
    let errors: [Problem.FieldError]?
    let conflicts: [Problem.Conflict]?
    let alternatives: [Alternative]?

    private enum CodingKeys: String, CodingKey {
        case type, title, status, detail, instance, errors, conflicts, alternatives
        case requestID = "requestId"
    }

    init(_ problem: Problem, instance: some StringProtocol, requestID: String) {
        type = "/problems/" + problem.type
        title = problem.title
        status = problem.status
        detail = problem.detail
        self.instance = String(instance)
        self.requestID = requestID
        errors = problem.errors.isEmpty ? nil : problem.errors
        conflicts = problem.conflicts.isEmpty ? nil : problem.conflicts
        alternatives = problem.alternatives.isEmpty ? nil : problem.alternatives
    }

    func response(headers: HTTPFields = [:]) throws -> IngressResponse {
        var headers = headers
        headers[.contentType] = "application/problem+json"
        return IngressResponse(
            status: HTTPResponse.Status(code: status), headers: headers,
            body: ByteBuffer(bytes: try WireJSON.encode(self)))
    }
}
