package import Foundation
import Synchronization

/// The messages that a worker has sent back to tiers, by when they failed first.
///
/// A message is forgotten a while after its tier has let it go: then some worker has it, and notes it again if it fails
/// again. The memory ends with the process, so after a restart a message counts from its next failure on.
package final class RetryAges: Sendable {
    private struct Entry {
        var firstFailedAt: Date
        var dueAt: Date
    }

    /// Beyond this many only the longest retried are kept.
    static let capacity = 1_000
    /// How long after its time in the tier a message still counts, in seconds.
    static let grace = 60.0

    private let entries = Mutex<[String: Entry]>([:])

    package init() {}

    /// - Parameter dueAt: when the tier lets the message go.
    package func note(_ messageID: String, firstFailedAt: Date, dueAt: Date) {
        entries.withLock { entries in
            entries[messageID] = Entry(firstFailedAt: firstFailedAt, dueAt: dueAt)
            guard entries.count > Self.capacity else { return }
            let youngest = entries.max { $0.value.firstFailedAt < $1.value.firstFailedAt }
            if let youngest { entries[youngest.key] = nil }
        }
    }

    /// When the longest retried of them failed first; nil if there are none.
    package func oldest(at now: Date) -> Date? {
        entries.withLock { entries in
            entries = entries.filter { $0.value.dueAt.addingTimeInterval(Self.grace) > now }
            return entries.values.map(\.firstFailedAt).min()
        }
    }
}
