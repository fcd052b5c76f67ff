package import Messaging
import Postgres

/// A message that rests in the outbox or the spool until the broker has confirmed it.
package struct StoredMessage: Hashable, Sendable {
    /// The row's number; rows of the spool are published in its order.
    package let id: Int
    /// The exchange's name; empty for the default exchange.
    package let exchange: String
    package let routingKey: String
    package let envelope: Envelope
}

/// How much waits, and how long the oldest of it has.
package struct Backlog: Hashable, Sendable {
    package var count: Int
    /// Seconds since the oldest row could have been sent; 0 if there is none.
    package var lag: Double

    init(_ row: Row) throws(PostgresError) {
        count = try row.decode("count", as: Int.self)
        lag = max(0, try row.decode("lag", as: Double?.self) ?? 0)
    }
}
