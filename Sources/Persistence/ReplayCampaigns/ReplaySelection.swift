package import Domain
import Foundation
import Messaging
import Postgres

/// Which dead letters a campaign is to take; of these, only those that are still dead.
package enum ReplaySelection: Hashable, Sendable {
    case ids([DeadLetterID])
    case matching(DeadLetters.Filter)

    /// The condition on `dead_letters`.
    var condition: SQL {
        switch self {
        case .ids(let ids): "status = 'dead' and id = any(\(ids.map(\.rawValue)))"
        case .matching(let filter): "status = 'dead' and \(filter.condition)"
        }
    }
}

/// Where a replayed letter goes and whose receipt tells its outcome, as SQL over `dead_letters`.
enum ReplayRoute {
    /// The work queue; `unrouted` for a letter that goes back to where it was sent with no queue to take it.
    static func queue(_ rules: ReplayRules) -> SQL { "coalesce(\(rules.targetQueue)::text, queue)" }

    /// The consumer of a work queue is the role that reads it, and the queue is named after the role: `scheduling` reads
    /// `scheduling` and `scheduling.urgent`. Nobody knows who will get an unrouted letter.
    static func consumer(of queue: SQL) -> SQL {
        "case when \(queue) = 'unrouted' then null else split_part(\(queue), '.', 1) end"
    }

    /// Whether the inbox says that the effect of the message has happened.
    ///
    /// - Parameters:
    ///   - alias: names a row with `message_id` and `consumer`.
    ///   - consumers: all that there are, for letters whose consumer nobody knows.
    static func isApplied(_ alias: String, consumers: [String]) -> SQL {
        """
        exists (select 1 from inbox i where i.message_id = \(unescaped: alias).message_id
            and i.consumer = any(case when \(unescaped: alias).consumer is null then \(consumers)::text[]
                else array[\(unescaped: alias).consumer] end))
        """
    }
}

extension ReplaySelection {
    /// What was asked for, as a JSON object for people to read later. Ids are counted only: each is in `replay_letters`.
    /// Of what was searched for in errors and bodies only the kind is named, because it may be personal data.
    package func json() throws -> String {
        struct Asked: Encodable {
            var ids: Int?
            var queue: String?
            var type: String?
            var reason: String?
            var errorCode: String?
            var fingerprint: String?
            var diedBefore: Date?
            var diedAfter: Date?
            var searches: [String]?
        }
        let asked: Asked
        switch self {
        case .ids(let ids): asked = Asked(ids: ids.count)
        case .matching(let filter):
            let searches = [filter.text.map { _ in "text" }, filter.jsonPath.map { _ in "json_path" }]
                .compactMap { $0 }
            asked = Asked(
                queue: filter.queue, type: filter.type, reason: filter.reason, errorCode: filter.errorCode,
                fingerprint: filter.fingerprint, diedBefore: filter.diedBefore, diedAfter: filter.diedAfter,
                searches: searches.isEmpty ? nil : searches)
        }
        return String(decoding: try WireJSON.encode(asked), as: UTF8.self)
    }
}
