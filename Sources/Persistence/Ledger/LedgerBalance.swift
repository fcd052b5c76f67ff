package import Foundation
package import Postgres

/// Where everything is that the system has answered for.
///
/// The unit is an obligation: one message that one consumer must handle. An event with two readers is two of them. Each is
/// in exactly one of these states, the first that applies:
///
/// | State | Known by |
/// |---|---|
/// | done | a row of `inbox` |
/// | dead | a row of `dead_letters` that nobody has dealt with, or that is being replayed |
/// | discarded | a row of `dead_letters` that an operator gave up, or what is left of it in `ledger_write_offs` |
/// | outbox, spool | a row there: not published yet |
/// | outstanding | none of these: the broker must have it |
package enum LedgerBalance {
    /// How many obligations of one consumer are in which state.
    package struct Account: Hashable, Sendable {
        package var consumer: String
        package var done = 0
        package var dead = 0
        package var discarded = 0
        package var outbox = 0
        package var spool = 0
        package var outstanding = 0

        package init(consumer: String) {
            self.consumer = consumer
        }

        package var accepted: Int { done + dead + discarded + outbox + spool + outstanding }
    }

    /// An obligation that only the broker can have.
    package struct Outstanding: Hashable, Sendable {
        package var consumer: String
        package var messageID: String
        package var routingKey: String
        package var acceptedAt: Date

        package init(consumer: String, messageID: String, routingKey: String, acceptedAt: Date) {
            self.consumer = consumer
            self.messageID = messageID
            self.routingKey = routingKey
            self.acceptedAt = acceptedAt
        }
    }

    /// Everything as of one instant of the database.
    package struct Look: Hashable, Sendable {
        /// By consumer.
        package var accounts: [Account] = []
        /// The oldest first.
        package var outstanding: [Outstanding] = []

        package init(accounts: [Account] = [], outstanding: [Outstanding] = []) {
            self.accounts = accounts
            self.outstanding = outstanding
        }
    }

    /// Looks at the database once; the broker is the caller's affair.
    ///
    /// Rows of outbox and spool count as accepted too: they have been answered for, although nobody has published them.
    /// - Parameters:
    ///   - since: leaves out what was accepted earlier.
    ///   - consumers: whom a routing key of an exchange leads to, for rows of outbox and spool.
    package static func look(
        since: Date? = nil, consumers: @Sendable (_ exchange: String, _ routingKey: String) -> [String],
        on pool: PostgresPool
    ) async throws -> Look {
        try await pool.withTransaction(isolation: .repeatableRead) { transaction in
            // Counting a year takes longer than any statement of a request may.
            _ = try await transaction.query("set local statement_timeout = '15min'")
            var routes: (exchanges: [String], keys: [String], consumers: [String]) = ([], [], [])
            let waiting = try await transaction.query(
                "select distinct exchange, routing_key from outbox union select distinct exchange, routing_key from spool"
            )
            for row in waiting {
                let exchange = try row.decode("exchange", as: String.self)
                let key = try row.decode("routing_key", as: String.self)
                routes.exchanges.append(exchange)
                routes.keys.append(key)
                routes.consumers.append(consumers(exchange, key).joined(separator: ","))
            }
            _ = try await transaction.query(
                """
                create temporary table ledger_look on commit drop as
                with routes as (
                    select * from unnest(\(routes.exchanges)::text[], \(routes.keys)::text[], \(routes.consumers)::text[])
                        as route (exchange, routing_key, consumers)
                ), waiting as (
                    select message_id, routing_key, consumers, created_at as accepted_at, 'outbox' as place
                    from outbox join routes using (exchange, routing_key)
                    union all
                    select message_id, routing_key, consumers, created_at, 'spool'
                    from spool join routes using (exchange, routing_key)
                ), accepted as (
                    select message_id, consumer, min(routing_key) as routing_key, min(accepted_at) as accepted_at,
                        min(place) as place
                    from (
                        select message_id, routing_key, consumers, accepted_at, null as place from ledger
                        union all
                        select * from waiting
                    ) as entry cross join lateral string_to_table(consumers, ',') as consumer
                    where accepted_at >= coalesce(\(since as Date?), '-infinity')
                    group by message_id, consumer
                ), letters as (
                    select message_id, split_part(queue, '.', 1) as consumer,
                        bool_or(status in ('dead', 'replaying')) as is_dead,
                        bool_or(status = 'discarded') as is_discarded
                    from dead_letters group by 1, 2
                )
                select accepted.message_id, accepted.consumer, accepted.routing_key, accepted.accepted_at,
                    case
                        when inbox.message_id is not null then 'done'
                        when coalesce(letter.is_dead, stray.is_dead, false) then 'dead'
                        when coalesce(letter.is_discarded, stray.is_discarded, false) or off.message_id is not null
                            then 'discarded'
                        when accepted.place is not null then accepted.place
                        else 'outstanding'
                    end as state
                from accepted
                left join inbox on inbox.consumer = accepted.consumer and inbox.message_id = accepted.message_id
                left join letters as letter
                    on letter.consumer = accepted.consumer and letter.message_id = accepted.message_id
                left join letters as stray on stray.consumer = 'unrouted' and stray.message_id = accepted.message_id
                left join ledger_write_offs as off
                    on off.consumer = accepted.consumer and off.message_id = accepted.message_id
                """)
            var accounts: [String: Account] = [:]
            let counts = try await transaction.query(
                "select consumer, state, count(*) as count from ledger_look group by consumer, state")
            for row in counts {
                let consumer = try row.decode("consumer", as: String.self)
                let count = try row.decode("count", as: Int.self)
                var account = accounts[consumer] ?? Account(consumer: consumer)
                switch try row.decode("state", as: String.self) {
                case "done": account.done = count
                case "dead": account.dead = count
                case "discarded": account.discarded = count
                case "outbox": account.outbox = count
                case "spool": account.spool = count
                default: account.outstanding = count
                }
                accounts[consumer] = account
            }
            let outstanding = try await transaction.query(
                """
                select consumer, message_id, routing_key, accepted_at from ledger_look where state = 'outstanding'
                order by accepted_at, message_id, consumer
                """
            ).map { row in
                Outstanding(
                    consumer: try row.decode("consumer"), messageID: try row.decode("message_id"),
                    routingKey: try row.decode("routing_key"), acceptedAt: try row.decode("accepted_at"))
            }
            return Look(
                accounts: accounts.values.sorted { $0.consumer < $1.consumer }, outstanding: outstanding)
        }
    }

    // MARK: Verdict

    /// How a consumer's obligations stand against what the broker holds for it.
    package struct Verdict: Hashable, Sendable {
        package var account: Account
        /// Messages in its queues, retry tiers and dead-letter queues.
        package var inBroker: Int
        /// At least so many messages are lost. 0 is balance.
        package var missing: Int
        /// The missing, by name, if the broker holds nothing for this consumer; else all who may be among them, the
        /// oldest first.
        package var suspects: [Outstanding]
        /// Whether `suspects` are exactly the missing.
        package var isExact: Bool { missing == suspects.count }
    }

    /// Compares what was outstanding before and after the broker was asked with what it said.
    ///
    /// What was outstanding both times was in the broker in between, or nowhere. So it cannot be more than the broker held:
    /// no movement of messages makes this raise a false alarm. More in the broker than outstanding are copies, which
    /// the inbox will drop; while there are any they can hide as many losses, and only an empty broker is proof.
    package static func verdicts(before: Look, inBroker: [String: Int], after: Look) -> [Verdict] {
        let stillOutstanding = Set(before.outstanding.map(Key.init))
        let throughout = Dictionary(
            grouping: after.outstanding.filter { stillOutstanding.contains(Key($0)) }, by: \.consumer)
        return after.accounts.map { account in
            let candidates = throughout[account.consumer] ?? []
            let held = inBroker[account.consumer] ?? 0
            let missing = max(0, candidates.count - held)
            return Verdict(
                account: account, inBroker: held, missing: missing, suspects: missing > 0 ? candidates : [])
        }
    }

    private struct Key: Hashable {
        let consumer: String
        let messageID: String

        init(_ outstanding: Outstanding) {
            consumer = outstanding.consumer
            messageID = outstanding.messageID
        }
    }
}
