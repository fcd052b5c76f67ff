import Domain
import HTTPTypes
import Messaging
import Persistence

/// The routes for dead letters. Acts are done when they are answered, and each is in the operator log under the name of the key or user.
struct LettersAPI: Sendable {
    let letters: any LetterStore

    func list(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        let query = try LetterInput.list(request.query)
        let page = try await letters.list(query.filter, after: query.cursor, limit: query.limit)
        return .json(try WireJSON.encode(PageDocument(page)))
    }

    func groups(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        let query = try LetterInput.groups(request.query)
        let groups = try await letters.groups(includesResolved: query.includesResolved, limit: query.limit)
        return .json(try WireJSON.encode(["items": groups.map(LetterGroupDocument.init)]))
    }

    func get(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        try await show(try await find(request))
    }

    func edit(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        let letter = try await find(request)
        try StaffAPI.requireJSON(request)
        let input = try LetterInput.edit(request.body)
        let result: DeadLetters.EditResult
        do {
            result = try await letters.edit(
                letter.id, patch: input.patch, replacing: letter.patch, reason: input.reason, by: principal.actor)
        } catch let failure as JSONPatch.Failure {
            throw ProblemResponse(
                Problem.validation([
                    Problem.FieldError(pointer: "/patch", code: "inapplicable", detail: failure.description)
                ]))
        }
        switch result {
        case .edited(let letter): return try await show(letter)
        case .missing: throw Self.missing
        case .notDead(let status): throw Self.refusal(of: status, wanted: .dead)
        case .changedMeanwhile:
            throw ProblemResponse(.versionMismatch, "Somebody else has edited the letter. Read it again.")
        }
    }

    func discard(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        let letter = try await find(request)
        try StaffAPI.requireJSON(request)
        let reason = try LetterInput.reason(request.body, isRequired: true) ?? ""
        guard try await letters.discard(letter.id, reason: reason, by: principal.actor) else {
            throw Self.refusal(of: letter.status, wanted: .dead)
        }
        return try await show(try await find(request))
    }

    func restore(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        let letter = try await find(request)
        if !request.body.isEmpty { try StaffAPI.requireJSON(request) }
        let reason = try LetterInput.reason(request.body, isRequired: false)
        guard try await letters.restore(letter.id, reason: reason, by: principal.actor) else {
            throw Self.refusal(of: letter.status, wanted: .discarded)
        }
        return try await show(try await find(request))
    }

    private func find(_ request: IngressRequest) async throws -> DeadLetter {
        guard let id = DeadLetterID(rawValue: request.pathParameter), let letter = try await letters.find(id) else {
            throw Self.missing
        }
        return letter
    }

    private func show(_ letter: DeadLetter) async throws -> IngressResponse {
        .json(try WireJSON.encode(LetterDetailDocument(letter, try await letters.facts(of: letter))))
    }

    private static let missing = ProblemResponse(Problem.notFound("dead letter"))

    private static func refusal(of status: DeadLetter.Status, wanted: DeadLetter.Status) -> ProblemResponse {
        ProblemResponse(
            .illegalTransition, "The letter is not \(wanted.rawValue); it was \(status.rawValue) when read.")
    }
}

private struct PageDocument: Encodable {
    let items: [LetterView]
    let nextCursor: DeadLetterID?

    init(_ page: DeadLetters.Page) {
        items = page.letters.map(LetterView.init)
        nextCursor = page.next
    }

    private enum CodingKeys: String, CodingKey {
        case items, nextCursor
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(items, forKey: .items)
        // Null on the last page, as in the other lists.
        try container.encode(nextCursor, forKey: .nextCursor)
    }
}
