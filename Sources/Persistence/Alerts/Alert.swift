package import Foundation
import Postgres

/// A condition that somebody should see to.
package struct Alert: Hashable, Sendable {
    package enum Kind: String, Hashable, Sendable, CaseIterable {
        /// The first dead letter of a kind that there never was before.
        case newFingerprint = "new_fingerprint"
        /// Many dead letters of one queue within minutes.
        case letterRate = "letter_rate"
        /// A message has been retried for long.
        case retryAge = "retry_age"
        /// The retention will delete letters soon.
        case retention
    }

    package var id: String
    package var kind: Kind
    /// What it is about: a fingerprint, a queue, a role.
    package var key: String
    /// For people; holds no personal data.
    package var summary: String
    package var raisedAt: Date
    package var clearedAt: Date?

    init?(_ row: Row) throws {
        // One of a newer program.
        guard let kind = Kind(rawValue: try row.decode("kind")) else { return nil }
        self.kind = kind
        id = try row.decode("id")
        key = try row.decode("key")
        summary = try row.decode("summary")
        raisedAt = try row.decode("raised_at")
        clearedAt = try row.decode("cleared_at", as: Date?.self)
    }
}

/// When conditions become alerts.
package struct AlertThresholds: Hashable, Sendable {
    /// Letters of one queue within `rateWindow`.
    package var letters: Int
    package var rateWindow: Duration
    package var retryAge: Duration
    /// How long resolved letters are kept; nil keeps them for ever.
    package var retention: Duration?
    /// How long before the retention deletes letters somebody is told.
    package var retentionNotice: Duration

    package init(
        letters: Int = 20, rateWindow: Duration = .seconds(300), retryAge: Duration = .seconds(3_600),
        retention: Duration? = nil, retentionNotice: Duration = .seconds(3 * 86_400)
    ) {
        self.letters = letters
        self.rateWindow = rateWindow
        self.retryAge = retryAge
        self.retention = retention
        self.retentionNotice = retentionNotice
    }
}
