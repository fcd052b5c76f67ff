import Domain
import Messaging
import Persistence

/// What a request for a replay campaign asks for, read and checked.
struct ReplayInput: Encodable {
    /// Ids in one request.
    static let maxIDs = 1_000

    private(set) var letters: [DeadLetterID]?
    private(set) var queue: String?
    private(set) var type: String?
    private(set) var reason: String?
    private var rules = ReplayRules()

    private enum CodingKeys: String, CodingKey {
        case letters, queue, type, reason, targetQueue, canary, ramp, rate, maxInFlight, abortAbove
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encodeIfPresent(letters, forKey: .letters)
        try container.encodeIfPresent(queue, forKey: .queue)
        try container.encodeIfPresent(type, forKey: .type)
        try container.encodeIfPresent(reason, forKey: .reason)
        try container.encodeIfPresent(rules.targetQueue, forKey: .targetQueue)
        try container.encode(rules.canary, forKey: .canary)
        try container.encode(rules.ramp, forKey: .ramp)
        try container.encodeIfPresent(rules.rate, forKey: .rate)
        try container.encode(rules.maxInFlight, forKey: .maxInFlight)
        try container.encode(rules.abortAbove, forKey: .abortAbove)
    }

    /// - Throws: `ProblemResponse`: 400 if the body is not JSON, 422 with every fault if a field is invalid.
    static func read(_ body: [UInt8]) throws -> (input: ReplayInput, selection: ReplaySelection, rules: ReplayRules) {
        let input = try JobInput.read(body) { reader -> ReplayInput? in
            var input = ReplayInput()
            let ids = reader.strings("letters", atMost: maxIDs) { text in
                DeadLetterID(rawValue: text) == nil ? ("format", "must be a dead letter's id, such as dlt_01J...") : nil
            }
            input.letters = ids?.compactMap(DeadLetterID.init(rawValue:))
            input.queue = reader.string("queue", length: 100)
            input.type = reader.string("type", length: 100)
            input.reason = reader.string("reason", length: 1_000, multiline: true)
            let standard = ReplayRules()
            input.rules.targetQueue = reader.string("target_queue", length: 100)
            input.rules.canary = reader.integer("canary", in: 0...ReplayRules.maxLetters) ?? standard.canary
            input.rules.ramp = reader.integers("ramp", atMost: 20, in: 1...ReplayRules.maxLetters) ?? standard.ramp
            input.rules.rate = reader.number("rate", in: 0.01...10_000) ?? standard.rate
            input.rules.maxInFlight = reader.integer("max_in_flight", in: 1...5_000) ?? standard.maxInFlight
            input.rules.abortAbove = reader.number("abort_above", in: 0...1) ?? standard.abortAbove
            let hasFilter = input.queue != nil || input.type != nil
            if reader.has("letters"), hasFilter {
                reader.reject("letters", "exclusive", "does not go together with filters")
            } else if !reader.has("letters"), !hasFilter {
                reader.reject("letters", "required", "is required, or a filter: queue, type")
            }
            return input
        }
        let selection: ReplaySelection =
            if let letters = input.letters { .ids(letters) } else {
                .matching(DeadLetters.Filter(queue: input.queue, type: input.type))
            }
        return (input, selection, input.rules)
    }

    /// Why an act is done; an empty body gives no reason.
    static func reason(_ body: [UInt8]) throws -> String? {
        try JobInput.cancel(body).reason
    }
}
