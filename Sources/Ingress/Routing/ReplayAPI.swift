import Domain
import Foundation
import HTTPTypes
import Messaging
import Persistence

/// The API's part that replays dead letters: campaigns are made and steered here, and carried out by the dead-letters
/// worker. Unlike the rest of the API it writes to the database itself, so an answer is an outcome.
struct ReplayAPI: Sendable {
    let campaigns: any ReplayCampaignStore

    func plan(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        try StaffAPI.requireJSON(request)
        let (_, selection, rules) = try ReplayInput.read(request.body)
        return .json(try WireJSON.encode(ReplayPlanView(try await campaigns.plan(selection, rules))))
    }

    func create(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        try StaffAPI.requireJSON(request)
        let key = try IdempotencyKey.read(request.headers)
        let (input, selection, rules) = try ReplayInput.read(request.body)
        let identity = ["replay-campaign", principal.id, key]
        let hash = MessageID.hex(MessageID.digest([String(decoding: try WireJSON.encode(input), as: UTF8.self)]))
        let order = ReplayCampaigns.Order(
            id: ReplayCampaignID(digest: MessageID.digest(identity)), selection: selection,
            selectionJSON: try selection.json(), rules: rules, actor: principal.actor, reason: input.reason,
            requestHash: hash)
        switch try await campaigns.create(order) {
        case .created(let campaign):
            return try Self.answer(campaign, status: .created)
        case .existing(let campaign):
            guard campaign.requestHash == hash else {
                throw ProblemResponse(
                    .idempotencyKeyReused, "The key was used for another request to \(request.path).")
            }
            var response = try Self.answer(campaign, status: .created)
            response.headers[.idempotentReplayed] = "true"
            return response
        case .nothingSelected:
            throw Self.unprocessable("nothing_selected", "selects no letter that is dead")
        case .tooMany:
            throw Self.unprocessable(
                "too_many", "selects more than \(ReplayRules.maxLetters) letters; narrow it down")
        }
    }

    func list(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        var query = QueryParameters(request.query, names: ["cursor", "limit", "open"])
        let limit = query.limit(1...200, default: 50)
        let cursor = query.identifier("cursor", as: ReplayCampaignID.self)
        let isOpen = query.flag("open")
        try query.finish()
        let page = try await campaigns.list(before: cursor, isUnsettled: isOpen, limit: limit)
        return try Self.list(
            page.map(ReplayCampaignView.init), next: page.count == limit ? page.last?.id.rawValue : nil)
    }

    func get(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        guard let campaign = try await campaigns.find(Self.id(request)) else { throw Self.notFound }
        return try Self.answer(campaign)
    }

    func letters(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        let id = try Self.id(request)
        var query = QueryParameters(request.query, names: ["cursor", "limit", "state"])
        let limit = query.limit(1...1_000, default: 100)
        let cursor = query.identifier("cursor", as: DeadLetterID.self)
        let states = query.words("state", as: ReplayLetter.State.self)
        try query.finish()
        guard try await campaigns.find(id) != nil else { throw Self.notFound }
        let page = try await campaigns.letters(of: id, states: states, after: cursor, limit: limit)
        return try Self.list(
            page.map(ReplayLetterView.init), next: page.count == limit ? page.last?.id.rawValue : nil)
    }

    /// Doing what has been done already is no error, so these need no idempotency key.
    func act(_ act: ReplayAct) -> @Sendable (IngressRequest, Principal) async throws -> IngressResponse {
        { request, principal in
            let id = try Self.id(request)
            if !request.body.isEmpty { try StaffAPI.requireJSON(request) }
            let reason = try ReplayInput.reason(request.body)
            switch try await campaigns.perform(act, on: id, by: principal.actor, reason: reason) {
            case .done(let campaign): return try Self.answer(campaign)
            case .unknown: throw Self.notFound
            case .busy:
                throw ProblemResponse.unavailable(
                    "A worker has had a message of the campaign in hand for long. Nothing has changed.")
            case .impossible(let campaign):
                throw ProblemResponse(
                    .illegalTransition,
                    "The campaign is \(campaign.phase.rawValue): it is too late to \(act.rawValue) it.")
            }
        }
    }

    private static var notFound: ProblemResponse { ProblemResponse(Problem.notFound("replay campaign")) }

    private static func id(_ request: IngressRequest) throws(ProblemResponse) -> ReplayCampaignID {
        guard let id = ReplayCampaignID(rawValue: request.pathParameter) else { throw notFound }
        return id
    }

    private static func unprocessable(_ code: String, _ detail: String) -> ProblemResponse {
        ProblemResponse(Problem.validation([Problem.FieldError(pointer: "", code: code, detail: detail)]))
    }

    private static func answer(_ campaign: ReplayCampaign, status: HTTPResponse.Status = .ok) throws -> IngressResponse
    {
        var headers: HTTPFields = [:]
        if status == .created { headers[.location] = "/v1/replay-campaigns/\(campaign.id)" }
        return .json(try WireJSON.encode(ReplayCampaignView(campaign)), status: status, headers: headers)
    }

    private static func list(_ items: [some Encodable], next: String?) throws -> IngressResponse {
        let cursor = next.map { "\"\($0)\"" } ?? "null"
        return .json(
            Array(#"{"items":"#.utf8) + (try WireJSON.encode(items)) + Array(",\"next_cursor\":\(cursor)}".utf8))
    }
}
